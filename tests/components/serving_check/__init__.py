"""Tests of components/serving_check."""
