"""Tests of graftline."""
