"""Tests of components/duplicates."""
