"""Tests of graftline/runs."""
