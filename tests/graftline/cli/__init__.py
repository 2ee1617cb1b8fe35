"""Tests of graftline/cli."""
