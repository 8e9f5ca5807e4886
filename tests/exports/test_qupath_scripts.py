"""The scripts for QuPath, without QuPath: their own command lines, and their files.

A script's commands are read off its source and carried out by the real command line;
what QuPath would do on its side (name the open file, write the selection as GeoJSON,
take objects in by their ids) is done here in its own form.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from drawn_slide import slide

from napari_pathfm.cli import main
from napari_pathfm.cli._main import build_parser
from napari_pathfm.exports import read_geojson, read_pixels

__all__ = ["slide"]

FOLDER = Path(__file__).parents[2] / "qupath"
SCRIPTS = sorted(FOLDER.glob("*.groovy"))
# Words of Groovy that are no more than a way to write a string.
PLAIN = re.compile(r" as String$|\.path$")


def lists(script: str) -> list[list[str]]:
    """Every list of words in a script, as it stands there."""
    source = (FOLDER / script).read_text(encoding="utf-8")
    found = re.findall(r'\[("(?:--)?[a-z]+"[^\]]*)\]', source)
    return [[word.strip() for word in words.split(", ")] for words in found]


def words(script: str, first: str, known: dict[str, str]) -> list[str]:
    """The one list of a script that begins with a word, with what QuPath knows."""
    (found,) = [words for words in lists(script) if words[0] == f'"{first}"']
    made = []
    for word in found:
        if word.startswith('"'):
            made.append(word.strip('"'))
        else:
            made.append(known[PLAIN.sub("", word)])
    return made


def run(command: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(command) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def known(slide, tmp_path: Path) -> dict[str, str]:
    """What the variables of the scripts hold."""
    return {
        "slide": str(slide.path),
        "mpp": str(slide.mpp),
        "folder": str(tmp_path),
        "ENCODER": "bundled",
        "GENERATOR": "bundled",
        "VARIANTS": "2",
        "SEED": "5",
    }


def middle(slide) -> str:
    """A place of tissue, as the scripts write it."""
    from napari_pathfm.slides import tile_grid

    grid = tile_grid(slide, px=224, mpp=0.5)
    x, y = grid.coords[len(grid.coords) // 2] + grid.tile_size / 2
    return f"{x:.2f},{y:.2f}"


def test_what_all_share_is_the_same() -> None:
    assert len(SCRIPTS) == 3
    blocks = {
        re.search(r"// ---- the same.*?// -{80,}", path.read_text(), re.DOTALL)[0]
        for path in SCRIPTS
    }
    assert len(blocks) == 1
    for path in SCRIPTS:
        assert "NOT run in QuPath itself" in path.read_text()


def test_every_command_is_one_of_the_shell_s(known: dict[str, str]) -> None:
    """No option of a script is unknown to the program."""
    known |= {"store": "a.zarr", "tiles": "a.geojson"}
    parse = build_parser().parse_args
    for path in SCRIPTS:
        assert parse(words(path.name, "info", known)).json
    heatmap = words("heatmap_of_selection.groovy", "heatmap", known)
    unlike = words("heatmap_of_selection.groovy", "--unlike", known)
    parsed = parse([*heatmap, "1.00,2.00", "3.50,4.00", *unlike, "5.00,6.00"])
    assert parsed.like == [(1, 2), (3.5, 4)]
    assert parsed.unlike == [(5, 6)]
    view = words("open_in_napari.groovy", "view", known)
    assert parse([*view, "a.geojson"]).verb == "view"


@pytest.mark.slow
def test_heatmap(
    slide, known: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "heatmap_of_selection.groovy"
    info = run(words(script, "info", known), capsys)
    assert info["dimensions"] == list(slide.dimensions)
    (embedded,) = run(words(script, "embed", known), capsys)
    known["store"] = embedded["store"]
    known["tiles"] = re.sub(r"\.zarr$", ".similarity.geojson", embedded["store"])
    place = middle(slide)
    ids = []
    for _ in range(2):
        run([*words(script, "heatmap", known), place], capsys)
        tiles = read_geojson(known["tiles"])
        assert {tile.object_type for tile in tiles} == {"tile"}
        assert len(tiles) == embedded["tiles"]
        ids.append({tile.id for tile in tiles})
    # What the second run brings takes the places of the first's.
    assert ids[0] == ids[1]
    best = max(tiles, key=lambda tile: tile.measurements["similarity"])
    left, top, right, bottom = best.geometry.bounds
    x, y = map(float, place.split(","))
    assert left <= x <= right
    assert top <= y <= bottom


def test_generate(
    slide, known: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "generate_at_selection.groovy"
    command = words(script, "generate", known)
    more = words(script, "--seed", known)
    place = middle(slide)
    # Fewer steps than the script's, which leaves them to the generator.
    made = run([*command, "--steps", "1", *more, place], capsys)
    assert [image["seed"] for image in made["images"]] == [5, 6]
    (region, *_) = read_geojson(made["geojson"])
    assert region.classification == "Synthetic"
    assert region.metadata["synthetic"] == "true"
    left, top, right, bottom = region.geometry.bounds
    x, y = map(float, place.split(","))
    assert left < x < right
    assert top < y < bottom
    pictures = [image["file"] for image in made["images"]]
    target = re.sub(r"\.geojson$", ".ome.tif", made["geojson"])
    written = run(
        [*words(script, "export", known), *pictures, "--to", target, "--json"], capsys
    )
    for told, image in zip(written, made["images"], strict=True):
        placed = read_pixels(told["out"])
        assert placed.provenance[0]["seed"] == image["seed"]
        assert placed.origin == tuple(made["box"][:2])


def test_a_failure_is_the_last_line_of_stderr(
    known: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    known["slide"] = "/nowhere/slide.svs"
    assert main(words("heatmap_of_selection.groovy", "info", known)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.strip().count("\n") == 0
    assert "slide.svs" in printed.err
