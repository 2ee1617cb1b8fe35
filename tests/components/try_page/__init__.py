"""Tests of components/try_page."""
