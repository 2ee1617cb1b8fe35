"""Tests of graftline/serving."""
