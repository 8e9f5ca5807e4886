"""Few-shot classes in the viewer: strokes in, classes out, without a window."""

from __future__ import annotations

import json

import numpy as np
import pytest

from conftest import LANDMARK, TILE
from napari_pathfm.errors import LabelError
from napari_pathfm.heatmaps import TissueClass
from napari_pathfm.viewer._metadata import entry, layers_of

# Level-0 places: the dark square, and pink tissue.
DARK = (LANDMARK[0] + TILE / 2, LANDMARK[1] + TILE / 2)
PINK = [(1.5 * TILE, 1.5 * TILE), (4.5 * TILE, 2.5 * TILE)]


@pytest.fixture
def classes(session):
    return session.classes


def stroke(session, place, label):
    """Paint as a brush does: one cell, and napari's own history."""
    layer = session.classes.brush.make_layer(session.current)
    stride = entry(layer)["stride"]
    layer.paint((place[1] / stride - 0.5, place[0] / stride - 0.5), label)


def shown(session):
    (layer,) = layers_of(session.viewer.layers, "classes")
    return layer


def start(session, names=("tumour", "stroma")):
    for name in names:
        session.classes.list.add(name)
    session.classes.paint()


# -- the list -----------------------------------------------------------------------


def test_classes_are_named_coloured_and_taken_away(classes):
    heard = []
    classes.list.changed.connect(lambda: heard.append(len(classes.list)))
    classes.list.add()
    classes.list.add("stroma")
    assert [one.name for one in classes.list.items] == ["Class 1", "stroma"]
    assert classes.list.current == 1
    classes.list.rename(0, " tumour ")
    classes.list.recolor(0, (1, 2, 3))
    assert classes.list.items[0] == TissueClass("tumour", (1, 2, 3))
    classes.list.remove(0)
    assert [one.name for one in classes.list.items] == ["stroma"]
    assert classes.list.current == 0
    assert heard == [1, 2, 2, 2, 1]


def test_names_are_free_and_not_empty(classes):
    classes.list.add("tumour")
    for name in ("tumour", "  "):
        classes.list.add()
        with pytest.raises(LabelError, match="name of its own"):
            classes.list.rename(1, name)
        classes.list.remove(1)
    classes.list.rename(0, "Class 2")
    classes.list.add()
    assert classes.list.items[1].name == "Class 3"


def test_there_is_an_end_to_classes(classes):
    for _ in range(32):
        classes.list.add()
    with pytest.raises(LabelError, match="32 classes at most"):
        classes.list.add()


# -- painting -----------------------------------------------------------------------


def test_the_brush_paints_the_class_in_hand(session, classes):
    start(session)
    layer = classes.brush.layer(session.current)
    assert classes.brush.in_hand
    assert session.viewer.layers.selection.active is layer
    assert layer.selected_label == 2
    classes.list.current = 0
    assert layer.selected_label == 1
    # And the other way round, by napari's own controls.
    layer.selected_label = 2
    assert classes.list.current == 1
    classes.paint(False)
    assert not classes.brush.in_hand
    assert session.viewer.layers.selection.active is session.current.layer


def test_two_strokes_become_a_map(session, classes):
    start(session)
    stroke(session, DARK, 1)
    assert not layers_of(session.viewer.layers, "classes")
    stroke(session, PINK[0], 2)
    layer = shown(session)
    state = session.current
    value = {
        place: layer.get_value(state.world(*place), world=True)
        for place in (DARK, *PINK)
    }
    assert value == {DARK: 1, PINK[0]: 2, PINK[1]: 2}
    assert layer.get_value(state.world(10, 10), world=True) == 0
    assert layer.opacity == 0.5
    assert entry(layer)["fingerprint"] == state.fingerprint


def test_the_slide_is_embedded_without_any_prompt(session, classes):
    start(session)
    assert session.similarity.store(session.current).complete
    assert not layers_of(session.viewer.layers, "heatmap")


def test_undo_takes_a_stroke_back(session, classes):
    start(session)
    stroke(session, DARK, 1)
    stroke(session, PINK[0], 2)
    assert classes.answer.maps is not None
    classes.brush.layer(session.current).undo()
    assert classes.answer.tiles.counts.tolist() == [1, 0]
    assert not layers_of(session.viewer.layers, "classes")
    classes.brush.layer(session.current).redo()
    assert shown(session)


def test_probabilities_of_the_class_in_hand(session, classes):
    start(session)
    stroke(session, DARK, 1)
    stroke(session, PINK[0], 2)
    classes.shown = "probability"
    state = session.current
    for current, dark in ((0, True), (1, False)):
        classes.list.current = current
        layer = shown(session)
        name = classes.list.items[current].name
        assert layer.name == f"Probability of {name}"
        at = layer.get_value(state.world(*DARK), world=True)
        assert (at > 0.5) == dark
    classes.shown = "likeliest"
    assert shown(session).name == "Likeliest class"


def test_a_class_taken_away_takes_its_labels(session, classes):
    start(session, ("tumour", "stroma", "fat"))
    stroke(session, DARK, 1)
    stroke(session, PINK[0], 2)
    stroke(session, PINK[1], 3)
    classes.list.remove(1)
    layer = classes.brush.layer(session.current)
    assert sorted(np.unique(layer.data)) == [0, 1, 2]
    assert classes.answer.tiles.counts.tolist() == [1, 1]
    assert [one.name for one in classes.answer.maps.classes] == ["tumour", "fat"]


def test_labels_on_glass_label_nothing(session, classes):
    start(session)
    stroke(session, (20, 20), 1)
    stroke(session, PINK[0], 2)
    assert classes.answer.tiles.counts.tolist() == [0, 1]


def test_deleting_the_layer_deletes_labels_and_map(session, classes):
    start(session)
    stroke(session, DARK, 1)
    stroke(session, PINK[0], 2)
    session.viewer.layers.remove(classes.brush.layer(session.current))
    assert classes.answer is None
    assert not layers_of(session.viewer.layers, "classes")


def test_another_pixel_size_starts_anew(session, classes):
    start(session)
    stroke(session, DARK, 1)
    stroke(session, PINK[0], 2)
    before = classes.brush.layer(session.current)
    session.set_mpp(1.0)
    assert classes.brush.layer(session.current) is before
    stride = entry(before)["stride"]
    np.testing.assert_allclose(before.scale, stride * 1.0)


# -- how good, and what next --------------------------------------------------------


def test_labels_in_several_places_are_validated(session, classes):
    start(session)
    stroke(session, DARK, 1)
    stroke(session, PINK[0], 2)
    stroke(session, PINK[1], 2)
    found = classes.answer.validation
    assert found.folds == 0
    assert "'tumour' in one more place" in found.warning


def test_the_next_tile_is_offered_labelled_and_skipped(session, classes):
    start(session)
    stroke(session, DARK, 1)
    stroke(session, PINK[0], 2)
    suggestion = classes.suggestion
    assert suggestion.possible
    suggestion.next()
    first = suggestion.row
    answer = classes.answer
    assert first not in answer.tiles.rows
    x, y = answer.vectors.grid.coords[first] + TILE / 2
    np.testing.assert_allclose(
        session.viewer.scene.camera.center[-2:], session.current.world(x, y)
    )
    assert "stroma" in suggestion.text
    (outline,) = layers_of(session.viewer.layers, "suggestion")
    np.testing.assert_allclose(outline.data, [(y - 0.5, x - 0.5)])
    assert outline.size[0] == TILE
    suggestion.skip()
    second = suggestion.row
    assert second not in (first, None)
    suggestion.accept()
    tiles = classes.answer.tiles
    assert second in tiles.rows
    assert tiles.counts.tolist() == [1, 2]
    assert suggestion.row not in (first, second)
    assert len(layers_of(session.viewer.layers, "suggestion")) == 1
    suggestion.leave()
    assert not layers_of(session.viewer.layers, "suggestion")


def test_filling_a_tile_labels_that_tile_alone(session, classes):
    start(session)
    stroke(session, DARK, 1)
    grid = session.similarity.store(session.current).grid
    for row in range(3):
        classes.brush.fill(session.current, grid, row, 1)
        assert classes.answer.tiles.counts.tolist() == [1, row + 1]


# -- files --------------------------------------------------------------------------


def test_a_classifier_goes_to_another_viewer(session, classes, tmp_path, capsys):
    with pytest.raises(LabelError, match="Label two classes first"):
        classes.save(tmp_path / "skin.json")
    start(session)
    stroke(session, DARK, 1)
    stroke(session, PINK[0], 2)
    before = np.array(shown(session).data)
    classes.save(tmp_path / "skin.json")
    assert json.loads((tmp_path / "skin.json").read_text())["provenance"]["slide"]
    session.viewer.layers.remove(classes.brush.layer(session.current))
    classes.list.replace(())
    classes.load(tmp_path / "skin.json")
    assert [one.name for one in classes.list.items] == ["tumour", "stroma"]
    np.testing.assert_array_equal(shown(session).data, before)


def test_labels_come_back_with_the_session(session, classes, tmp_path):
    start(session)
    stroke(session, DARK, 1)
    stroke(session, PINK[0], 2)
    classes.list.recolor(0, (9, 8, 7))
    before = np.array(classes.brush.layer(session.current).data)
    path = tmp_path / "work.pathfm.json"
    assert session.save(path) == []
    session.viewer.layers.remove(classes.brush.layer(session.current))
    classes.list.replace(())
    assert session.restore(path) == []
    assert classes.list.items[0] == TissueClass("tumour", (9, 8, 7))
    layer = classes.brush.layer(session.current)
    np.testing.assert_array_equal(layer.data, before)
    assert shown(session)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(current=5),
        lambda d: d["classes"][0].__setitem__(1, [1, 2]),
        lambda d: d["classes"].append(d["classes"][0]),
        lambda d: d["labels"].update(a=[[10, 10], "AAAA"]),
        lambda d: d["labels"].update(a=[[1 << 20, 1 << 20], ""]),
    ],
)
def test_damaged_labels_in_a_session_are_one_line(session, classes, tmp_path, change):
    start(session)
    stroke(session, DARK, 1)
    path = tmp_path / "work.pathfm.json"
    session.save(path)
    content = json.loads(path.read_text())
    change(content["sections"]["classes"])
    path.write_text(json.dumps(content))
    told = session.restore(path)
    assert len(told) == 1
    assert "classes" in told[0]
