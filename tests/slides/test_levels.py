"""Where on a level a read begins: the arithmetic under every placement."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pathfm.slides import Level, Sampling
from napari_pathfm.slides._levels import choose_level, position, start_of

DOWNSAMPLES = [1.0, 2.0, 2.0005055500659967, 4.0, 4.00017, 3.3333333, 16.0021, 32.0]


@pytest.mark.parametrize("downsample", DOWNSAMPLES)
def test_reads_begin_at_the_nearest_level0_pixel(downsample: float) -> None:
    rng = np.random.default_rng(0)
    for pixel in [0, 1, 2, 1000, *rng.integers(0, 60_000, 300).tolist()]:
        off = position(start_of(pixel, downsample), downsample) - pixel
        assert abs(off) * downsample <= 0.5 + 1e-6


@pytest.mark.parametrize("downsample", DOWNSAMPLES)
def test_outside_reads_begin_exactly(downsample: float) -> None:
    """OpenSlide cuts the fraction off there, so there is always an exact start."""
    for pixel in range(-3000, 0):
        assert position(start_of(pixel, downsample), downsample) == pixel


def test_choice_of_level() -> None:
    levels = tuple(Level(1000, 1000, d) for d in (1.0, 4.0, 16.0))
    for asked, level, got in [
        (0.3, 0, 0.3),
        (1.0, 0, 1.0),
        (1.0099, 0, 1.0),
        (1.011, 0, 1.011),
        (3.9, 0, 3.9),
        (3.97, 1, 4.0),
        (4.03, 1, 4.0),
        (4.05, 1, 4.05),
        (15.8, 1, 15.8),
        (15.85, 2, 16.0),
        (100.0, 2, 100.0),
    ]:
        assert choose_level(levels, asked) == Sampling(level, got), asked
