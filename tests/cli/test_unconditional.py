"""``generate --unconditional``: what the generator makes untold."""

from __future__ import annotations

import json

import pytest

from napari_pathfm.cli import main
from napari_pathfm.exports import read_provenance


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory):
    from napari_pathfm.slides import draw_slide

    path = tmp_path_factory.mktemp("slides") / "drawn.tif"
    draw_slide(path, width=2048, height=1536)
    return path


def test_images_of_nothing_stand_at_the_point(slide_path, tmp_path, capsys):
    told = ["generate", str(slide_path), "--at", "600,500", "--unconditional"]
    told += ["-n", "1", "--sampler", "euler", "--steps", "1", "--out", str(tmp_path)]
    assert main([*told, "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["images"]
    assert "cosine_to_condition" not in entry
    assert -1 <= entry["cosine_to_place"] <= 1
    provenance = read_provenance(entry["file"])
    assert provenance.condition_sha256 is None
    assert provenance.box[:2] == (600 - 112, 500 - 112)
    assert main(told) == 0
    assert "unconditional" in capsys.readouterr().out
    # Nothing was read from the slide, so none is needed to make it again.
    assert main(["provenance", entry["file"], "--verify"]) == 0


def test_a_walk_of_nothing_is_bad_usage(slide_path, tmp_path):
    told = ["generate", str(slide_path), "--at", "600,500", "--to", "700,600"]
    with pytest.raises(SystemExit) as stop:
        main([*told, "--unconditional", "--out", str(tmp_path)])
    assert stop.value.code == 2
