"""Every random number of a run: numpy's Philox, keyed by (seed, purpose, epoch), drawn on the CPU."""

import hashlib

import numpy as np


def generator(seed: int, purpose: str, epoch: int = 0) -> np.random.Generator:
    """The generator of one purpose ("order", "crop", "flip", "weights/0", ...) in one epoch of one seed.

    Two purposes never share a stream, so that adding a draw to one leaves all others as they were.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
