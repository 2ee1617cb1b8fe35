"""The Tuner: searches learning rates and the layer to fine-tune from."""
