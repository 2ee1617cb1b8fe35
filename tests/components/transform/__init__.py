"""Tests of components/transform."""
