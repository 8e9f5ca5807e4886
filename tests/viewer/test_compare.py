"""Real and synthetic beside each other, in turns, and their difference."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt

from conftest import TILE
from napari_pathfm.viewer._metadata import entry, layers_of

PLACE = (3.5 * TILE, 2.5 * TILE)


def test_difference_lies_on_the_place(session):
    session.compare.difference()
    assert "nothing to compare" in session.message
    session.synthesis.generate_at(*PLACE)
    session.compare.difference()
    (layer,) = layers_of(session.viewer.layers, "difference")
    result = session.synthesis.result
    apart = np.abs(result.images[1].pixels.astype(int) - result.source).mean(2)
    np.testing.assert_allclose(layer.data[1], apart, rtol=1e-5)
    corner = session.current.level0(layer.data_to_world((0, -0.5, -0.5)))
    np.testing.assert_allclose(corner, result.box[:2], atol=1e-6)
    assert entry(layer)["synthetic"] is True
    assert len(entry(layer)["provenance"]) == len(result.images)
    # Asked again, it takes the place of the first.
    session.compare.difference()
    assert len(layers_of(session.viewer.layers, "difference")) == 1


def in_cells(viewer):
    return [
        [viewer.layers[index] for index in inside]
        for _, inside in viewer.canvas.grid.iter_viewboxes(viewer.layers)
    ]


def test_side_by_side_and_blink_in_the_window(window):
    panel, session, viewer = window.panel, window.session, window.viewer
    row = panel.synthesis.compare
    assert not row.isVisibleTo(panel)
    session.synthesis.generate_at(*PLACE)
    window.qtbot.waitUntil(lambda: not panel.runner.busy, timeout=20_000)
    layer = window.layer("synthetic")
    assert row.isVisibleTo(panel)
    row.beside.click()
    assert viewer.canvas.grid.enabled
    cells = in_cells(viewer)
    # A cell with everything else, and one with it alone.
    assert cells[1] == [layer]
    assert len(cells[0]) == len(viewer.layers) - 1
    # Its name is not cut off by the cell's border.
    size = layer.name_overlay.font_size
    assert 6 <= size < 10
    assert 0.9 * size * len(layer.name) < viewer.canvas.size[1] / 2
    # What comes and goes does not move it.
    other = viewer.add_points([[10, 10]])
    assert in_cells(viewer)[1] == [layer]
    viewer.layers.remove(other)
    assert in_cells(viewer)[1] == [layer]
    row.beside.click()
    assert not viewer.canvas.grid.enabled
    assert layer.name_overlay.font_size == 10
    window.key(Qt.Key.Key_B)
    assert not layer.visible
    row.blink.click()
    assert layer.visible
    row.difference.click()
    window.until(lambda: window.layer("difference") is not None)
    figures = panel.synthesis.cosines
    assert figures.isVisibleTo(panel)
    viewer.layers.remove(layer)
    assert not row.isVisibleTo(panel)
    # What is said of it goes with it, and comes back with it.
    assert not figures.isVisibleTo(panel)
    assert session.synthesis.result is None
    viewer.layers.append(layer)
    assert figures.isVisibleTo(panel)
