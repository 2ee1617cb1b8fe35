"""Tests of graftline/features."""
