"""A virtual slide in a session file: the same one comes back, or none and a notice."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from plain_generator import PlainGenerator
from plain_models import PlainModels

from conftest import MPP, draw
from napari_pathfm.viewer._metadata import entry, layers_of
from napari_pathfm.viewer._reader import read_slide
from napari_pathfm.viewer.session import SUFFIX, Session, read_session


@pytest.fixture
def models():
    return PlainModels()


@pytest.fixture
def path(session, tmp_path):
    """A session file with a virtual slide, some of which was made."""
    session.synthesis.seed, session.synthesis.steps = 7, 2
    session.viewer.scene.camera.center = (0, *session.current.world(500, 500))
    session.viewer.scene.camera.zoom = 2
    session.virtual.begin()
    session.virtual.layer.name, session.virtual.layer.opacity = "mine", 0.5
    # What the panel is set to afterwards is another thing.
    session.synthesis.seed = 8
    path = tmp_path / f"work{SUFFIX}"
    assert session.save(path) == []
    return path


@pytest.fixture
def opened(path, tmp_path):
    """Open it in an empty viewer, with models and a cache of its own."""
    made, seen = [], len(notification_manager.records)

    def open_(models=None, cache=None, file=path):
        cache = cache or tmp_path / "other cache"
        again = Session(ViewerModel(), models=models or PlainModels(), cache=cache)
        made.append(again)
        told = again.restore(file)
        told += [one.message for one in notification_manager.records[seen:]]
        return again, told

    yield open_
    for again in made:
        again.close()


def test_the_same_virtual_slide_comes_back(session, path, opened):
    again, told = opened()
    assert told == []
    (before,) = layers_of(session.viewer.layers, "virtual")
    (after,) = layers_of(again.viewer.layers, "virtual")
    assert entry(after)["provenance"] == entry(before)["provenance"]
    assert entry(after)["provenance"][0]["seed"] == 7
    assert (after.name, after.opacity) == ("mine", 0.5)
    assert again.viewer.layers.index(after) == 1
    # Made again where somebody looked, with nothing of the first one's cache.
    assert again.models.fake_generator.passes
    np.testing.assert_array_equal(np.asarray(after.data[0]), before.data[0])
    np.testing.assert_array_equal(after.data[-1], before.data[-1])
    assert "virtual" in [one.step.name for one in again.script.now().values()]
    assert again.synthesis.seed == 8


def test_chunks_of_this_machine_are_not_made_again(session, opened):
    again, _ = opened(cache=session.cache)
    assert again.models.fake_generator.passes == 0
    whole = np.asarray(again.virtual.layer.data[0])
    np.testing.assert_array_equal(whole, session.virtual.layer.data[0])


def test_one_that_was_stopped_stays_stopped(session, path, opened):
    session.virtual.cancel()
    session.virtual.layer.visible = False
    session.save(path)
    again, told = opened()
    assert told == []
    assert again.virtual.paused
    assert not again.virtual.layer.visible
    assert again.models.fake_generator.passes == 0


def test_other_weights_are_told_once_and_nothing_is_shown(session, path, opened):
    session.prompt(session.current.world(700.0, 700.0))
    session.save(path)
    other = PlainGenerator()
    other.revision = "test:other"
    again, (line,) = opened(PlainModels(other))
    assert "drawn was not brought back" in line
    assert "other weights of the generator (test:plain, here test:other)" in line
    assert "\n" not in line
    assert again.virtual.layer is None
    assert other.passes == 0
    assert not list((again.cache / "embeddings").rglob("*-test*"))
    assert again.current.prompts.items == session.current.prompts.items
    # It is not lost by saving: where the weights are the same it is there.
    second = path.with_name(f"second{SUFFIX}")
    again.save(second)
    assert read_session(second)["virtual"] == read_session(path)["virtual"]
    # Nor is it asked for again at every turn.
    again.viewer.layers.selection.active = None
    assert again.virtual.layer is None
    # A new one takes its place.
    again.virtual.begin()
    assert again.virtual.kept.provenance.generator_revision == "test:other"


def test_other_embeddings_are_not_passed_off_as_the_same(path, opened):
    models = PlainModels()
    encode = models.fake_encoder.encode

    def otherwise(tiles, **keywords):
        found = encode(tiles, **keywords)
        found.cls[:, 0] += 0.25
        return found

    models.fake_encoder.encode = otherwise
    again, (line,) = opened(models)
    assert "other embeddings" in line
    assert again.virtual.layer is None


def test_a_missing_generator_is_told_and_the_rest_is_there(path, opened):
    models = PlainModels()
    models.broken = "no weights"
    again, told = opened(models)
    assert told == ["The virtual slide of drawn was not brought back: no weights."]
    assert again.current is not None
    assert again.virtual.kept is not None


def test_it_waits_for_its_slide(models, tmp_path, opened):
    home = tmp_path / "home"
    home.mkdir()
    ((data, keywords, _),) = read_slide(draw(home / "slide.tif", MPP))
    first = Session(ViewerModel(), models=models, cache=tmp_path / "first")
    first.viewer.add_image(data, **keywords)
    first.virtual.begin()
    path = home / f"work{SUFFIX}"
    first.save(path)
    first.close()
    kept = tmp_path / "kept.tif"
    shutil.move(home / "slide.tif", kept)
    again, (line,) = opened(file=path)
    assert "was not found" in line
    assert again.virtual.layer is None
    ((data, keywords, _),) = read_slide(kept)
    again.viewer.add_image(data, **keywords)
    assert again.virtual.layer is not None


def test_another_slide_takes_its_place(session, tmp_path):
    session.virtual.begin()
    ((data, keywords, _),) = read_slide(draw(tmp_path / "second.tif", 0.4))
    session.viewer.add_image(data, **keywords)
    session.virtual.begin()
    (layer,) = layers_of(session.viewer.layers, "virtual")
    assert layer is session.virtual.layer
    assert entry(layer)["fingerprint"] == session.current.fingerprint


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("settings", "seed"), "7"),
        (("settings", "steps"), 10**9),
        (("settings", "sampler"), ["euler"]),
        (("settings", "extra"), 1),
        (("provenance", "synthetic"), False),
        (("provenance", "action"), "vary"),
        (("shown", "opacity"), 7),
        (("shown",), None),
    ],
)
def test_a_damaged_one_is_left_out(path, opened, place, value):
    text = json.loads(path.read_text())
    at = text["sections"]["virtual"]
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    path.write_text(json.dumps(text))
    again, (line,) = opened()
    assert "its section 'virtual' was left out" in line
    assert again.virtual.layer is None
    assert again.current is not None
