"""Tests of kubeflow/."""
