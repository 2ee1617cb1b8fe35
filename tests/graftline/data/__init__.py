"""Tests of graftline/data."""
