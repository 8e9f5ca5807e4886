"""Walks, areas and virtual slides, replayed without a window: the same, bit for bit.

The encoder is the bundled one; the generator is a formula, as areas take their time.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from napari.components import ViewerModel
from plain_generator import PlainGenerator
from replay import replay

from conftest import LANDMARK, TILE
from napari_pathfm.exports import array_sha256
from napari_pathfm.viewer.session import SUFFIX, Models, Session

PLAIN = """
import napari_pathfm.generators
from plain_generator import PlainGenerator

napari_pathfm.generators.load_generator = lambda *_, **__: PlainGenerator()
"""


class PlainlyGenerating(Models):
    """The bundled encoder, and a generator that is a formula."""

    def generator(self, name, *, trust_remote_code=False):
        self.encoder("bundled")  # brings PyTorch in, with care
        return PlainGenerator()


@pytest.fixture
def made(tmp_path, drawn_path, open_layer):
    """A session in which each of them was made, of other settings each."""
    viewer = ViewerModel()
    open_layer(viewer, drawn_path)
    session = Session(viewer, models=PlainlyGenerating(), cache=tmp_path / "cache")
    state, synthesis = session.current, session.synthesis
    session.prompt(state.world(LANDMARK[0] + 90, LANDMARK[1] + 90))
    session.prompt(state.world(4.5 * TILE, 2.5 * TILE))
    synthesis.frames, synthesis.steps, synthesis.seed = 3, 2, 5
    synthesis.walk()
    synthesis.preset, synthesis.seed, synthesis.guidance = "fast", 6, 2.5
    draw(session, "Twin", (450 + 1 / 3, 460, 430, 300))
    session.twins.begin()
    synthesis.guidance = 1.0
    draw(session, "Extend", (600, 500, 300, 310))
    session.extensions.begin()
    synthesis.seed, synthesis.steps = 7, 2
    viewer.scene.camera.center = (0, *state.world(500, 500))
    viewer.scene.camera.zoom = 2
    session.virtual.begin()
    yield session
    session.close()


def draw(session, name, box):
    slide, (x, y, width, height) = session.current.layer, box
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    places = np.array([(y - 0.5, x - 0.5) for x, y in corners])
    session.viewer.add_shapes(
        [places], shape_type="polygon", name=name, scale=slide.scale, units=slide.units
    )


def test_walk_twin_extension_and_virtual_slide_are_identical(made, tmp_path):
    levels = made.virtual._open.levels
    virtual = levels.virtual
    chunks = [c for c in virtual.all_chunks() if levels.has(c)]
    assert len(chunks) > 1
    # All that was made of it: a rectangle, across the borders of chunks.
    side = virtual.chunk_px
    top, left = (min(getattr(c, at) for c in chunks) * side for at in ("row", "column"))
    bottom = min((max(c.row for c in chunks) + 1) * side, virtual.shape[0])
    right = min((max(c.column for c in chunks) + 1) * side, virtual.shape[1])
    shown = np.asarray(made.virtual.layer.data[0][top:bottom, left:right])
    assert len(np.unique(shown)) > 100
    part = f"{left}, {top}, {right - left}, {bottom - top}"
    script = made.script.text()
    told = f'print("virtual:", array_sha256(virtual.read({part})))\n'
    said = replay(made, script + told, tmp_path, PLAIN)
    assert said == {
        "likeness.values": "identical",
        "walked.pixels": "identical",
        "twinned.pixels": "identical",
        "extended.pixels": "identical",
        "virtual": array_sha256(shown),
    }
    # Another seed would be noticed.
    assert script.count("seed=5") == script.count("seed=7") == 1
    other = script.replace("seed=5", "seed=8").replace("seed=7", "seed=8")
    said = replay(made, other + told, tmp_path, PLAIN)
    assert said["walked.pixels"] == "different"
    assert said["virtual"] != array_sha256(shown)
    # Kept in a session file it is the same script.
    made.save(tmp_path / f"work{SUFFIX}")
    back = Session(ViewerModel(), models=PlainlyGenerating(), cache=made.cache)
    assert back.restore(tmp_path / f"work{SUFFIX}") == []
    assert paragraphs(back) == paragraphs(made)
    back.close()


def paragraphs(session) -> list[str]:
    """Give a script's steps, in whatever order and under whatever number."""
    steps, _, _ = session.script.text().partition("# Is it what the window showed")
    return sorted(re.sub(r"_\d+\b", "", step) for step in steps.split("\n\n"))
