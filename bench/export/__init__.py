"""A trained network in a folder of its own, for others to load."""
