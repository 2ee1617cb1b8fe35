"""Tests of graftline/base."""
