"""The PyTorch modules of the networks."""
