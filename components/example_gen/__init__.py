"""TfdsExampleGen: reads a dataset into examples."""
