"""Tests of components/baseline."""
