"""Tests of components/bulk."""
