"""Few-shot classes by hand, in the real window."""

from __future__ import annotations

import numpy as np

from conftest import LANDMARK, TILE

DARK = (LANDMARK[0] + TILE / 2, LANDMARK[1] + TILE / 2)
PINK = (4.5 * TILE, 2.5 * TILE)


def near(place):
    return (place[0] - 40, place[1] - 40), (place[0] + 40, place[1] + 40)


def test_two_strokes_become_a_map_and_a_label_next(window, qtbot):
    section, classes = window.panel.classes, window.session.classes
    assert section.table.table.isHidden()
    window.press(section.table.add)
    window.press(section.table.add)
    item = section.table.table.item(0, 0)
    item.setText("tumour")
    assert [one.name for one in classes.list.items] == ["tumour", "Class 2"]
    section.table.table.selectRow(0)
    window.press(section.paint)
    assert classes.brush.in_hand
    window.drag(*near(DARK))
    section.table.table.selectRow(1)
    window.drag(*near(PINK))
    qtbot.waitUntil(
        lambda: classes.answer is not None and classes.answer.validation is not None,
        timeout=60_000,
    )
    window.settle()
    layer = window.layer("classes")
    state = window.session.current
    assert layer.get_value(state.world(*DARK), world=True) == 1
    assert layer.get_value(state.world(*PINK), world=True) == 2
    counts = [int(section.table.table.item(i, 1).text()) for i in (0, 1)]
    assert counts == classes.answer.tiles.counts.tolist()
    assert all(counts)
    # napari's own undo takes the last stroke back, and the map with it.
    window.layer("labels").undo()
    qtbot.waitUntil(lambda: window.layer("classes") is None, timeout=30_000)
    window.layer("labels").redo()
    qtbot.waitUntil(lambda: window.layer("classes") is not None, timeout=30_000)
    window.press(section.next)
    assert section.accept.isVisible()
    before = classes.answer.tiles.counts.sum()
    window.press(section.accept)
    qtbot.waitUntil(
        lambda: classes.answer.tiles.counts.sum() == before + 1, timeout=30_000
    )
    window.press(section.paint)
    assert not classes.brush.in_hand
    assert np.any(window.layer("labels").data == 1)
