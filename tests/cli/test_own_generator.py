"""A generator of one's own, by its name: listed, used, verified and judged."""

from __future__ import annotations

import json

import pytest
from published_generator import publish

from napari_pathfm.cli import main
from napari_pathfm.errors import SpecError, UnknownModelError
from napari_pathfm.exports import read_provenance
from napari_pathfm.generators import (
    GENERATORS,
    generator_spec,
    known_generators,
    load_generator,
)
from napari_pathfm.slides import draw_slide


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_PATHFM_CONFIG", str(tmp_path / "config"))
    folder = tmp_path / "config" / "generators"
    publish(folder / "mine", "mine")
    return folder


def test_folders_of_the_settings_have_names(own_folder):
    publish(own_folder / "renamed", "other")
    publish(own_folder / "bundled", "bundled")
    (own_folder / "empty").mkdir()
    (own_folder / "notes.txt").write_text("not one")
    known, refused = known_generators()
    assert list(known) == [*GENERATORS, "mine"]
    assert {p.name: str(e) for p, e in refused.items()}.keys() == {
        "renamed",
        "bundled",
        "empty",
    }
    with pytest.raises(SpecError, match="is called other inside: rename the folder"):
        generator_spec("renamed")
    # The catalogue's own is never taken from there.
    assert generator_spec("bundled") is GENERATORS["bundled"]
    with pytest.raises(UnknownModelError, match="mine"):
        load_generator("nothing")


def test_the_list_shows_it_and_says_what_it_leaves_out(own_folder, capsys):
    publish(own_folder / "renamed", "other")
    assert main(["models", "--json"]) == 0
    printed = capsys.readouterr()
    rows = {r["name"]: r for r in json.loads(printed.out) if r["kind"] == "generator"}
    assert list(rows) == [*GENERATORS, "mine"]
    assert "left out" in printed.err
    assert "rename the folder" in printed.err


def test_its_images_are_verified_and_judged_by_its_name(own_folder, tmp_path, capsys):
    slide = draw_slide(tmp_path / "drawn.tif", width=1024, height=1024, levels=1)
    store = tmp_path / "store"
    words = ["generate", str(slide), "--at", "600,500", "--generator", "mine"]
    words += ["--sampler", "euler", "--steps", "1", "-n", "1", "--json"]
    assert main([*words, "--out", str(tmp_path / "made")]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["images"]
    assert read_provenance(entry["file"]).generator == "mine"
    words = ["provenance", entry["file"], "--verify", "--slide", str(slide)]
    assert main(words) == 0
    assert main(["embed", str(slide), "--out", str(store)]) == 0
    capsys.readouterr()
    (made,) = store.iterdir()
    words = ["fidelity", entry["file"], str(slide), str(made)]
    assert main([*words, "--json"]) == 0
    assert -1 <= json.loads(capsys.readouterr().out)["cosine_to_condition"] <= 1
