"""Random numbers that depend on names, not on the order in which things are asked for."""

from __future__ import annotations

import hashlib

import numpy as np


def rng_for(seed: int, *labels: str | int) -> np.random.Generator:
    """A generator for one purpose of one world.

    Args:
        seed: the world's seed, >= 0.
        labels: what the numbers are for, such as ``("speckle", scene_id)``; another label is another stream.

    Returns:
        A generator that is the same in every process and whatever was drawn before.
    """
    digest = hashlib.sha256("/".join(str(label) for label in labels).encode()).digest()
    words = np.frombuffer(digest[:16], dtype="<u4").tolist()
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))
