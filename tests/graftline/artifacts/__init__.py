"""Tests of graftline/artifacts."""
