"""The page to try a model, and the REST interface under it, which is TensorFlow Serving's."""
