"""The Evaluator: measures a candidate, and blesses it or not."""
