"""``make benchmark``: the time of kdbench's training step beside that of plain PyTorch loops, taken in turns."""
