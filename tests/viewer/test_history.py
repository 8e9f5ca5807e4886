"""Undo and redo: clicks, classes, labels and synthetic layers in one order."""

from __future__ import annotations

import random

import numpy as np
import pytest
from qtpy.QtCore import Qt

from conftest import LANDMARK, TILE, draw
from napari_pathfm.viewer._metadata import layers_of
from napari_pathfm.viewer.session import Session, _history, _label_bands
from napari_pathfm.viewer.session._label_bands import LabelBands

ON_LANDMARK = (LANDMARK[0] + 100.0, LANDMARK[1] + 90.0)
ON_PINK = (4.5 * TILE, 2.5 * TILE)


@pytest.fixture(autouse=True)
def _one_by_one(monkeypatch):
    """Tests are faster than a hand: what follows at once is a step all the same."""
    monkeypatch.setattr(_history, "_ONE_GO_S", 0.0)


def click(session, place, role="like"):
    session.prompt(session.current.world(*place), role)


def paint(session, number, where):
    layer = session.classes.brush.make_layer(session.current)
    rows, columns = where
    down, right = np.mgrid[slice(*rows), slice(*columns)]
    layer.data_setitem((down.ravel(), right.ravel()), number)


def seen(session):
    """All that undo is about, as a person sees it."""
    layer = session.classes.brush.layer(session.current)
    return (
        session.current.prompts.items,
        session.classes.list.items,
        None if layer is None or not np.any(layer.data) else layer.data.tobytes(),
        sorted(x.name for x in layers_of(session.viewer.layers, "synthetic")),
    )


def test_one_order_for_all_of_it(session):
    history = session.history
    states = [seen(session)]

    def did(what):
        assert history.undoes == what
        states.append(seen(session))

    click(session, ON_LANDMARK)
    did("click")
    session.classes.list.add("Tumour")
    did("class")
    paint(session, 1, ((2, 6), (3, 9)))
    did("labels")
    session.synthesis.generate()
    did("synthetic layer")
    session.classes.list.rename(0, "Stroma")
    did("class changed")
    click(session, ON_PINK, "unlike")
    did("click")
    session.viewer.layers.remove(layers_of(session.viewer.layers, "synthetic")[0])
    did("synthetic layer removed")
    for state in states[-2::-1]:
        history.undo()
        assert seen(session) == state
    assert history.undoes == ""
    history.undo()
    assert seen(session) == states[0]
    for state in states[1:]:
        assert history.redoes
        history.redo()
        assert seen(session) == state
    assert history.redoes == ""


def test_a_change_after_undo_forgets_what_was_undone(session):
    click(session, ON_LANDMARK)
    session.history.undo()
    click(session, ON_PINK)
    assert session.history.redoes == ""
    session.history.undo()
    assert not session.current.prompts


def test_a_class_taken_out_comes_back_with_its_labels(session):
    for name in ("Tumour", "Stroma"):
        session.classes.list.add(name)
    paint(session, 1, ((2, 4), (2, 4)))
    paint(session, 2, ((6, 8), (2, 4)))
    before = seen(session)
    session.classes.list.remove(0)
    after = seen(session)
    assert set(np.unique(session.classes.brush.layer(session.current).data)) == {0, 1}
    session.history.undo()
    assert seen(session) == before
    session.history.redo()
    assert seen(session) == after


def test_napari_s_own_undo_of_a_stroke_is_a_step_back(session):
    session.classes.list.add("Tumour")
    paint(session, 1, ((2, 4), (2, 4)))
    paint(session, 1, ((6, 8), (2, 4)))
    assert session.history.redoes == ""
    session.classes.brush.layer(session.current).undo()
    assert session.history.redoes == "labels"
    session.history.redo()
    assert np.count_nonzero(session.classes.brush.layer(session.current).data) == 8


def test_the_map_follows(session):
    click(session, ON_LANDMARK)
    assert session.similarity.layer is not None
    first = np.array(session.similarity.layer.data)
    click(session, ON_PINK)
    assert not np.array_equal(first, session.similarity.layer.data, equal_nan=True)
    session.history.undo()
    np.testing.assert_array_equal(first, session.similarity.layer.data)
    session.history.undo()
    assert session.similarity.layer is None


def test_a_drag_is_one_step(session, monkeypatch):
    monkeypatch.setattr(_history, "_ONE_GO_S", 60.0)
    click(session, ON_LANDMARK)
    click(session, ON_PINK)
    (layer,) = layers_of(session.viewer.layers, "prompts")
    start = session.current.prompts.items
    for _ in range(5):
        layer.data = layer.data + np.array([0.0, 4.0])
    assert session.history.undoes == "click moved"
    session.history.undo()
    assert session.current.prompts.items == start
    assert session.history.undoes == "click"


def test_it_begins_anew_where_a_slide_closes_or_a_session_opens(
    session, tmp_path, unknown_mpp_path, open_layer
):
    click(session, ON_LANDMARK)
    other = open_layer(session.viewer, unknown_mpp_path)
    assert session.history.undoes == "click"
    session.viewer.layers.remove(other)
    assert session.history.undoes == ""
    assert len(session.current.prompts) == 1
    click(session, ON_PINK)
    session.save(tmp_path / "work.pathfm.json")
    session.restore(tmp_path / "work.pathfm.json")
    assert session.history.undoes == ""
    click(session, ON_LANDMARK, "unlike")
    session.set_mpp(0.25)
    assert session.history.undoes == ""


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_is_undone_and_redone_whole(session, seed):
    chance = random.Random(seed)

    def place():
        return (chance.randrange(TILE, 5 * TILE), chance.randrange(TILE, 4 * TILE))

    def remove_point():
        prompts = session.current.prompts
        if prompts:
            prompts.remove([chance.choice(prompts.items)])

    def add_class():
        if len(session.classes.list) < 5:
            session.classes.list.add()

    def remove_class():
        if len(session.classes.list):
            session.classes.list.remove(chance.randrange(len(session.classes.list)))

    def recolor():
        if len(session.classes.list):
            color = tuple(chance.randrange(256) for _ in range(3))
            session.classes.list.recolor(0, color)

    def stroke():
        if count := len(session.classes.list):
            row, column = chance.randrange(20), chance.randrange(20)
            where = (row, row + 3), (column, column + 3)
            paint(session, chance.randrange(count + 1), where)

    actions = (
        lambda: click(session, place(), chance.choice(("like", "unlike"))),
        remove_point,
        add_class,
        remove_class,
        recolor,
        stroke,
        stroke,
    )
    # What brings back the moment before is a step back: kept are those it leaves.
    for _ in range(30):
        chance.choice(actions)()
    end, states = seen(session), []
    while session.history.undoes:
        states.append(seen(session))
        session.history.undo()
    assert seen(session) == ((), (), None, [])
    assert len(states) > 5
    for state in reversed(states):
        session.history.redo()
        assert seen(session) == state
    assert seen(session) == end


@pytest.fixture
def packed(monkeypatch):
    """Hear of every band of labels that is packed: a list of arrays' bytes."""
    found, pack = [], _label_bands._packed

    def packing(rows):
        found.append(rows.copy())
        return pack(rows)

    monkeypatch.setattr(_label_bands, "_packed", packing)
    return found


def test_labels_that_nobody_has_touched_are_not_packed(
    session, packed, tmp_path, open_layer
):
    first = session.current
    session.classes.list.add("Tumour")
    paint(session, 1, ((2, 6), (3, 9)))
    open_layer(session.viewer, draw(tmp_path / "second.tif", 0.4))
    assert session.current is not first
    paint(session, 1, ((1, 3), (20, 22)))
    packed.clear()
    looked = []
    look = LabelBands.look
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            LabelBands, "look", lambda own, x: (looked.append(x), look(own, x))
        )
        paint(session, 1, ((3, 5), (20, 22)))
        click(session, ON_PINK)
        session.classes.list.recolor(0, (1, 2, 3))
    (rows,) = packed
    own = session.classes.brush.layer(session.current).data
    np.testing.assert_array_equal(rows, own[:64])
    # Nor compared with what they were.
    assert {labels.shape for labels in looked} == {own.shape}
    before = seen(session), session.classes.brush.layer(first).data.copy()
    while session.history.undoes:
        session.history.undo()
    assert not session.classes.brush.layer(session.current).data.any()
    while session.history.redoes:
        session.history.redo()
    assert seen(session) == before[0]
    np.testing.assert_array_equal(session.classes.brush.layer(first).data, before[1])


def test_a_stroke_packs_the_rows_that_it_went_over(packed):
    bands, labels = LabelBands(), np.zeros((1000, 700), np.uint8)
    bands.look(labels)
    assert bands.packed is None
    assert not packed
    labels[100:180, 5:9] = 2
    bands.look(labels)
    first = bands.packed
    assert [len(rows) for rows in packed] == [64, 64]
    labels[999, 0] = 1
    bands.look(labels)
    assert [len(rows) for rows in packed] == [64, 64, 1000 % 64]
    second = bands.packed
    assert first != second
    np.testing.assert_array_equal(second.unpack(), labels)
    assert first.unpack()[999, 0] == 0
    labels[999, 0] = 0
    bands.look(labels)
    assert bands.packed == first
    assert len(packed) == 3
    # Other cells, and other numbers in them, are another thing altogether.
    wide = np.ones((70, 3), np.int32)
    bands.look(wide)
    assert bands.packed.unpack().dtype == np.int32
    np.testing.assert_array_equal(bands.packed.unpack(), wide)


def test_old_steps_are_let_go(session):
    for i in range(_history.MOST_STEPS + 10):
        click(session, (TILE + 10.0 + 4 * i, TILE + 30.0))
    steps = 0
    while session.history.undoes:
        session.history.undo()
        steps += 1
    assert steps == _history.MOST_STEPS - 1


def test_keys_and_buttons(window, qtbot):
    session: Session = window.session
    bar = window.panel.sessions
    assert not bar.undo.isEnabled()
    window.press(window.panel.similarity.tool)
    window.click(*ON_PINK)
    window.until(lambda: bar.undo.isEnabled())
    assert bar.undo.toolTip() == "Take back: click (Ctrl+Z)"
    qtbot.keyClick(window.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    window.until(lambda: not window.prompts)
    assert not bar.undo.isEnabled()
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(window.canvas, Qt.Key.Key_Z, both)
    window.until(lambda: len(window.prompts) == 1)
    # Synthetic tissue comes back onto the canvas as it was.
    session.synthesis.generate()
    window.until(lambda: window.layer("synthetic") is not None)
    window.until(lambda: bar.undo.toolTip().startswith("Take back: synthetic layer"))
    layer = window.layer("synthetic")
    window.press(bar.undo)
    window.until(lambda: window.layer("synthetic") is None)
    window.press(bar.redo)
    window.until(lambda: window.layer("synthetic") is layer)
    assert layer.bounding_box.visible
