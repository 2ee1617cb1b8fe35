"""The network: backbone, weights, losses, faster layers, and what runs it."""
