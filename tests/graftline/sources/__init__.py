"""Tests of graftline/sources."""
