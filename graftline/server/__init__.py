"""The page to try a model, and the REST interface below it, which is TensorFlow Serving's."""
