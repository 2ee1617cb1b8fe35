"""Tests of components/evaluator."""
