"""What the data of the model in production looked like, for comparison."""
