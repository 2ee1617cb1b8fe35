"""Tests of graftline/training."""
