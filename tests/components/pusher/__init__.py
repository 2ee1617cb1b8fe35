"""Tests of components/pusher."""
