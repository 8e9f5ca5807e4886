"""A mask drawn on the slide becomes a repair, through the session and the window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Shapes
from napari.utils.notifications import notification_manager

from conftest import MPP, TILE
from napari_pathfm.viewer._metadata import kind_of, layers_of
from napari_pathfm.viewer.session._drawn_mask import drawn_mask

# On the pink, level-0 x, y, width, height.
PLACE = (4 * TILE, 2 * TILE, 40, 24)


def labels(session, scale=1.0):
    """Labels that cover `PLACE`, each as large as some level-0 pixels."""
    x, y, width, height = (round(value / scale) for value in PLACE)
    data = np.zeros((y + height + 9, x + width + 9), np.uint8)
    data[y : y + height, x : x + width] = 3
    data[y, x] = 0
    return session.viewer.add_labels(
        data,
        name="Repair",
        scale=(scale * MPP,) * 2,
        translate=((scale - 1) / 2 * MPP,) * 2,
        units=("um", "um"),
    )


def test_labels_of_any_size_become_level0_geometry(session):
    for scale in (1, 4):
        shape = drawn_mask(labels(session, scale), session.current)
        x, y, width, height = PLACE
        assert shape.bounds == pytest.approx((x, y, x + width, y + height))
        assert shape.area == pytest.approx(width * height - scale**2)


def test_shapes_become_level0_geometry_and_lines_do_not(session):
    layer = Shapes(ndim=2, name="Repair", scale=(MPP, MPP), units=("um", "um"))
    assert drawn_mask(layer, session.current) is None
    layer.add_lines(np.array([[3, 3], [60, 90]]))
    assert drawn_mask(layer, session.current) is None
    # Pixel centres as napari has them: this rectangle is 20 x 10 level-0 pixels.
    layer.add_rectangles(np.array([[9.5, 19.5], [19.5, 39.5]]))
    shape = drawn_mask(layer, session.current)
    assert shape.bounds == pytest.approx((20, 10, 40, 20))
    # By centre and radii: 40 x 20.
    layer.add_ellipses(np.array([[109.5, 119.5], [10, 20]]))
    shape = drawn_mask(layer, session.current)
    assert shape.area == pytest.approx(200 + np.pi * 20 * 10, rel=0.01)
    assert shape.bounds[2:] == pytest.approx((140, 120))


def test_what_is_drawn_is_made_anew_and_nothing_else(session):
    labels(session)
    session.repairs.begin()
    made = session.synthesis.result
    assert made.axis == "repair"
    *_, width, height = PLACE
    assert made.mask.sum() == width * height - 1
    state = session.current
    real = state.slide.read(*made.box[:2], 224, 224, mpp=0.5)
    (layer,) = layers_of(session.viewer.layers, "synthetic")
    np.testing.assert_array_equal(layer.data[0][~made.mask], real[~made.mask])
    # The layer shows the same place as the slide beneath it.
    corner = state.level0(layer.data_to_world((0, -0.5, -0.5)))
    np.testing.assert_allclose(corner, made.box[:2], atol=1e-6)
    assert "repair" in layer.name
    assert session.synthesis.result.images[0].provenance.action == "repair"


def test_a_layer_to_draw_on_is_given_and_an_empty_one_is_said(session):
    session.repairs.begin()
    (layer,) = layers_of(session.viewer.layers, "mask")
    assert session.viewer.layers.selection.active is layer
    assert "Draw around" in session.message
    session.say("")
    session.repairs.begin()
    assert "Draw around" in session.message
    assert session.synthesis.result is None
    layer.add_rectangles(np.array([[500.0, 900.0], [520.0, 930.0]]))
    session.repairs.begin()
    assert session.synthesis.result is not None
    assert len(layers_of(session.viewer.layers, "mask")) == 1
    # It lies on the slide: it moves with the slide's pixel size.
    session.set_mpp(2 * MPP)
    np.testing.assert_allclose(layer.scale, 2 * MPP)


@pytest.mark.parametrize(
    ("rectangle", "says"),
    [
        ([[-30, -30], [20, 20]], "leaves drawn.tif"),
        ([[5, 5], [20, 20]], "no tissue there"),
        ([[0, 0], [6 * TILE - 1, 7 * TILE - 1]], "nothing around it"),
    ],
)
def test_bad_masks_are_one_line(session, rectangle, says):
    layer = session.repairs.draw(session.current)
    layer.add_rectangles(np.array(rectangle, float))
    notification_manager.records.clear()
    session.repairs.begin()
    assert says in session.message
    assert "\n" not in session.message
    assert len(notification_manager.records) == 1
    assert not layers_of(session.viewer.layers, "synthetic")


def test_a_rectangle_becomes_a_twin(session):
    session.twins.begin()
    assert "rectangle around the region" in session.message
    layer = session.twins.layer
    assert layer.mode == "add_rectangle"
    x, y = 3 * TILE, 2 * TILE
    corner = np.array([y, x]) - 0.5
    layer.add_rectangles(np.array([corner, corner + np.array([240, 320])]))
    session.twins.begin()
    made = session.synthesis.result
    assert made.axis == "twin"
    assert made.box == (x, y, 320, 240)
    (shown,) = layers_of(session.viewer.layers, "synthetic")
    assert shown.data.shape == (1, 240, 320, 3)
    assert "twin" in shown.name
    assert session.repairs.layer is None


def test_a_stack_of_labels_is_no_mask(session):
    session.viewer.add_labels(np.ones((2, 5, 5), np.uint8), name="Repair")
    session.repairs.begin()
    assert "a mask has two" in session.message


def test_the_button_gives_a_layer_and_repairs_what_is_on_it(window):
    section = window.panel.synthesis
    window.panel.session.synthesis.steps = 2
    window.press(section.regions.repair)
    layer = window.viewer.layers["Repair"]
    assert isinstance(layer, Shapes)
    assert kind_of(layer) == "mask"
    assert "Draw around" in window.panel.message.text()
    x, y, width, height = PLACE
    corner = np.array([y, x]) - 0.5
    layer.add_rectangles(np.array([corner, corner + np.array([height, width])]))
    window.press(section.regions.repair)
    # The first sampling imports diffusers, which takes a busy machine a while.
    window.until(lambda: not window.session.synthesis.running, timeout_s=120)
    window.until_generated()
    made = window.session.synthesis.result
    assert made.axis == "repair"
    assert window.layer("synthetic").visible
    assert "surroundings" in section.cosines.text()
    middle = window.point(x + width / 2, y + height / 2)
    shown = window.picture()[middle.y(), middle.x()]
    assert np.ptp(shown.astype(int)) < 60
    assert section.regions.repair.isEnabled()


def test_a_drawn_field_is_carried_on(session):
    x, y = 2 * TILE, 2 * TILE
    layer = Shapes(ndim=2, name="Extend", scale=(MPP, MPP), units=("um", "um"))
    corner, opposite = np.array([y, x]) - 0.5, np.array([y + 240, x + 240]) - 0.5
    layer.add_rectangles(np.array([corner, opposite]))
    session.viewer.add_layer(layer)
    session.extensions.begin()
    made = session.synthesis.result
    assert made.axis == "extension"
    assert made.box == (x - TILE, y - TILE, 240 + 2 * TILE, 240 + 2 * TILE)
    (shown,) = layers_of(session.viewer.layers, "synthetic")
    kept = shown.data[0][TILE : TILE + 240, TILE : TILE + 240]
    np.testing.assert_array_equal(
        kept, session.current.slide.read(x, y, 240, 240, mpp=0.5)
    )
