"""The Trainer: a new head on a frozen backbone, then the upper layers."""
