"""Default colours of classes stay apart for people who see two of three primaries."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_pathfm.heatmaps import PALETTE

# Machado, Oliveira and Fernandes, IEEE TVCG 2009, severity 1.0, on linear RGB.
SIGHT = {
    "trichromacy": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def seen(colours: np.ndarray, matrix: object) -> np.ndarray:
    """Give sRGB 0..1 as it looks through a matrix on linear light."""
    linear = np.where(
        colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4
    )
    light = np.clip(linear @ np.asarray(matrix).T, 0, 1)
    return np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
    )


@pytest.mark.parametrize("sight", SIGHT)
def test_no_two_classes_look_alike(sight):
    lab = rgb2lab(seen(np.array(PALETTE) / 255, SIGHT[sight])[None])[0]
    least = min(deltaE_ciede2000(a, b) for a, b in combinations(lab, 2))
    print(f"{sight}: least CIEDE2000 {least:.1f}")
    # Ten is told apart at a glance, side by side; about two is just seen.
    assert least > 10


def test_two_reds_and_greens_would_be_caught():
    """The simulation itself must confuse what such people confuse."""
    pair = seen(np.array([(200, 80, 60), (110, 125, 60)]) / 255, SIGHT["deuteranopia"])
    plain = rgb2lab(np.array([[(200, 80, 60), (110, 125, 60)]]) / 255)[0]
    blind = rgb2lab(pair[None])[0]
    assert deltaE_ciede2000(*blind) < deltaE_ciede2000(*plain) / 3
