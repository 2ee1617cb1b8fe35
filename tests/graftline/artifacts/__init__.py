"""Tests of what components meet in."""
