"""Training: phases, callbacks, checkpoints, several workers."""
