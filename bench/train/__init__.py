"""The engine: one run trained from its recipe, at the device's speed, resumable."""
