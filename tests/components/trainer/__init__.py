"""Tests of components/trainer."""
