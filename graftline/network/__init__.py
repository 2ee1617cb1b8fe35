"""The network: backbone, weights, losses, faster layers, and the engines that run it."""
