"""Tests of graftline/settings."""
