"""The same place in another scene's light: gains, curves, speckle, haze."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2.functional import gaussian_blur


def relit_chip(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """8-bit radar, 0..255: another gain and curve, now and then more speckle or a coarser look."""
    valid = np.isfinite(values)
    relit = np.where(valid, values, 0.0) / 255.0
    relit = np.exp(rng.uniform(-0.35, 0.35)) * relit ** np.exp(rng.uniform(-0.35, 0.35))
    if rng.random() < 0.25:
        looks = np.exp(rng.uniform(np.log(6.0), np.log(40.0)))
        relit *= rng.gamma(looks, 1.0 / looks, relit.shape)
    if rng.random() < 0.2:
        sigma = rng.uniform(0.4, 1.1)
        relit = gaussian_blur(torch.from_numpy(relit.astype(np.float32)), [5, 5], [sigma, sigma]).numpy()
    return np.where(valid, 255.0 * np.clip(relit, 0.0, 1.0), np.nan).astype(np.float32)


def relit_sigma0(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Linear sigma0: each band up to 2 dB brighter or darker, now and then more speckle or more thermal noise."""
    relit = values * 10.0 ** (0.1 * rng.uniform(-2.0, 2.0, (len(values), 1, 1)))
    if rng.random() < 0.3:
        looks = np.exp(rng.uniform(np.log(8.0), np.log(40.0)))
        relit = relit * rng.gamma(looks, 1.0 / looks, relit.shape)
    if rng.random() < 0.3:
        relit = relit + 10.0 ** (0.1 * rng.uniform(-32.0, -25.0)) * rng.gamma(4.4, 1.0 / 4.4, relit.shape)
    return relit.astype(np.float32)


def relit_reflectance(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Reflectance: haze and glint lift all bands, the sun dims all, each band is a little off, the sensor is noisy."""
    gain = np.exp(rng.uniform(-0.25, 0.25) + rng.uniform(-0.06, 0.06, (len(values), 1, 1)))
    haze = rng.uniform(-0.01, 0.05) * rng.uniform(0.7, 1.0, (len(values), 1, 1))
    noise = rng.normal(0.0, rng.uniform(0.0, 0.006), values.shape)
    return (gain * values + haze + noise).astype(np.float32)
