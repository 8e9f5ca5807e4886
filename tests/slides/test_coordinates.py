from __future__ import annotations

import numpy as np
import pytest

from napari_pathfm.slides import grid_transform, level0_to_world, world_to_level0


def test_centre_of_the_first_pixel_is_the_origin_of_the_world() -> None:
    assert level0_to_world((0.5, 0.5), 0.25).tolist() == [0.0, 0.0]


def test_corner_of_the_slide_lies_half_a_pixel_before() -> None:
    assert level0_to_world((0, 0), 0.5).tolist() == [-0.25, -0.25]


def test_x_becomes_column_and_y_row() -> None:
    np.testing.assert_allclose(level0_to_world((100, 20), 0.5), (9.75, 49.75))


@pytest.mark.parametrize("shape", [(2,), (7, 2), (3, 4, 2), (0, 2)])
@pytest.mark.parametrize("mpp", [0.01, 0.2528, 0.499, 28.97])
def test_round_trip(shape: tuple[int, ...], mpp: float) -> None:
    points = np.random.default_rng(0).uniform(-1e5, 2e5, shape)
    there = level0_to_world(points, mpp)
    assert there.shape == shape
    np.testing.assert_allclose(world_to_level0(there, mpp), points, atol=1e-6)


def test_inputs_are_left_alone() -> None:
    points = np.array([[1.0, 2.0]])
    level0_to_world(points, 0.5)[0, 0] = 99
    world_to_level0(points, 0.5)[0, 0] = 99
    assert points.tolist() == [[1.0, 2.0]]


def test_layer_of_level0_pixels_has_no_translation() -> None:
    scale, translate = grid_transform((0, 0), 1, 0.25)
    assert scale == (0.25, 0.25)
    assert translate == (0.0, 0.0)


@pytest.mark.parametrize("stride", [1, 2, 14, 224, 448.9])
@pytest.mark.parametrize("mpp", [0.25, 0.499])
@pytest.mark.parametrize("origin", [(0, 0), (17, 1003), (-3.5, 40.25)])
def test_grid_formula(stride: float, mpp: float, origin: tuple[float, float]) -> None:
    scale, translate = grid_transform(origin, stride, mpp)
    assert scale == pytest.approx((stride * mpp, stride * mpp))
    x, y = origin
    expected = ((y + (stride - 1) / 2) * mpp, (x + (stride - 1) / 2) * mpp)
    assert translate == pytest.approx(expected)


@pytest.mark.parametrize("stride", [1, 3, 224])
def test_grid_cell_covers_its_tile(stride: int) -> None:
    """The corners of a layer's pixel are the corners of the tile that it stands for."""
    mpp, origin = 0.37, (1000, 400)
    scale, translate = grid_transform(origin, stride, mpp)
    row, column = 5, 9
    for edge in (-0.5, 0.5):  # napari: a pixel reaches half a pixel around its centre
        world = (
            (row + edge) * scale[0] + translate[0],
            (column + edge) * scale[1] + translate[1],
        )
        x, y = world_to_level0(world, mpp)
        assert x == pytest.approx(origin[0] + (column + 0.5 + edge) * stride)
        assert y == pytest.approx(origin[1] + (row + 0.5 + edge) * stride)
