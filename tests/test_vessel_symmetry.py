import numpy as np
import pytest

from models.vessel.network import CHANNELS
from models.vessel.symmetry import mirror_image, over_symmetries, turned

FIRST = dict(zip(CHANNELS, np.cumsum([0, *CHANNELS.values()]).tolist(), strict=False))


def equivariant(inputs):
    """A network that treats all directions alike: its offset and direction follow the gradient, its axis likewise."""
    x = inputs[0].astype(float)
    half = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean(axis=(1, 3))
    down, right = np.gradient(np.pad(half, 1))
    down, right = down[1:-1, 1:-1], right[1:-1, 1:-1]
    maps = np.zeros((sum(CHANNELS.values()), *half.shape))
    maps[FIRST["heat"]] = half
    maps[FIRST["offset"]], maps[FIRST["offset"] + 1] = down, right
    maps[FIRST["log_length"]] = np.hypot(down, right)
    # clockwise from up: cos is the part upwards, sin the part to the right
    maps[FIRST["direction"]], maps[FIRST["direction"] + 1] = -down, right
    maps[FIRST["axis"]], maps[FIRST["axis"] + 1] = down**2 - right**2, -2.0 * down * right
    maps[FIRST["kind"]] = half**2
    return maps.astype(np.float32)


@pytest.fixture
def image():
    return np.random.default_rng(3).random((1, 32, 48)).astype(np.float32)


def test_the_mean_of_a_network_without_preferred_direction_is_its_own_answer(image):
    np.testing.assert_allclose(over_symmetries(equivariant, image), equivariant(image), atol=1e-6)


@pytest.mark.parametrize("quarters", [-3, -2, -1, 0, 1, 2, 3])
def test_maps_of_a_turned_image_are_the_turned_maps(image, quarters):
    seen = np.rot90(image, quarters, axes=(1, 2))
    np.testing.assert_allclose(turned(equivariant(image), quarters), equivariant(seen), atol=1e-6)


def test_maps_of_a_mirrored_image_are_the_mirrored_maps(image):
    np.testing.assert_allclose(mirror_image(equivariant(image)), equivariant(image[:, :, ::-1]), atol=1e-6)


def test_a_network_that_only_answers_to_the_right_is_averaged_out(image):
    def lopsided(inputs):
        maps = equivariant(inputs) * 0.0
        maps[FIRST["offset"] + 1] = 1.0
        return maps

    np.testing.assert_allclose(over_symmetries(lopsided, image), 0.0, atol=1e-6)
