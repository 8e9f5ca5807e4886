"""``python -m napari_pathfm.viewer.demo``: the whole story, told by the real window.

A slide is opened, tissue found, a place clicked, its like shown, variants generated
there and everything exported. Each stage is what the panel's buttons start; only the
hand on the mouse is missing. ``napari-pathfm demo`` and ``make demo`` start this.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.viewer.__main__ import PANEL, PLUGIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_pathfm.demo import Figure
    from napari_pathfm.heatmaps import Heatmap
    from napari_pathfm.synthesis import PlacedImages
    from napari_pathfm.viewer.session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState

# Epidermis of CMU-1-Small-Region; a drawn slide is asked at its densest tile instead.
_EPIDERMIS = (1200.0, 1900.0)
_VARIANTS = 4
_PATIENCE_S = 600


@dataclass
class Story:
    """What the page will tell.

    Attributes
    ----------
    out : Path
        Folder of the results.
    facts : list of (str, str)
        What was measured.
    figures : list of Figure
        Screenshots so far.
    files : list of (str, str)
        Results so far, each with what it is.
    """

    out: Path
    facts: list[tuple[str, str]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)

    def fact(self, name: str, value: str) -> None:
        """Note a figure, and print it."""
        self.facts.append((name, value))
        print(f"{name}: {value}", flush=True)

    def shot(self, viewer: Any, file: str, caption: str) -> None:
        """Take a picture of the whole window."""
        from napari_pathfm.demo import Figure

        _settle()
        viewer.screenshot(str(self.out / file), canvas_only=False, flash=False)
        self.figures.append(Figure(file, caption))


def main(arguments: list[str] | None = None) -> int:
    """Tell the story; give the exit code."""
    parser = argparse.ArgumentParser(prog="napari-pathfm demo")
    parser.add_argument("--out", type=Path, default=Path("demo-output"))
    parser.add_argument("--no-window", action="store_true")
    options = parser.parse_args(arguments)
    try:
        tell(options.out, leave_open=not options.no_window)
    except PathfmError as error:
        print(f"napari-pathfm: {error}", file=sys.stderr)
        return 1
    return 0


def tell(out: Path, *, leave_open: bool) -> None:
    """Run every stage and write the page.

    Raises
    ------
    PathfmError
        If a stage fails.
    """
    import napari

    from napari_pathfm.demo import sample_slide, write_page

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{out} cannot be made ({error.strerror}): choose another --out"
        ) from error
    story = Story(out)
    path, source = sample_slide()
    story.fact("Sample slide", f"{path.name}, from {source}")
    viewer = napari.Viewer()
    viewer.window.resize(1560, 960)
    viewer.open(path, plugin=PLUGIN)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
    viewer.reset_view()
    session = panel.session
    state = session.current
    if state is None:
        raise PathfmError(f"{path.name} did not open: {session.message}")
    _tissue(story, session, state)
    panel.tool.active = True
    heatmap, place = _heatmap(story, session, state)
    variation = _synthesis(story, session, state, place)
    _export(story, heatmap, variation)
    write_page(
        out / "index.html", facts=story.facts, figures=story.figures, files=story.files
    )
    print(f"Results: {out / 'index.html'}", flush=True)
    if leave_open:
        napari.run()
    else:
        viewer.close()


def _tissue(story: Story, session: Session, state: SlideState) -> None:
    session.tissue.show()
    _wait(lambda: not session.tissue.busy)
    story.fact("Tissue", f"{state.find_tissue().fraction:.1%} of the slide")
    caption = "The slide, and the tissue that was found on it"
    story.shot(session.viewer, "1-tissue.png", caption)
    session.tissue.hide()


def _heatmap(
    story: Story, session: Session, state: SlideState
) -> tuple[Heatmap, tuple[float, float]]:
    from napari_pathfm.exports import heatmap_from_layer

    place = _EPIDERMIS if state.slide.vendor == "aperio" else _dense(state)
    similarity = session.similarity
    # Half a tile from one to the next: four times the tiles, a finer map.
    similarity.overlap = 2
    began = time.monotonic()
    session.prompt(state.world(*place))
    job = similarity.job
    _wait(lambda: job is None or not job.running)
    if job is None or similarity.layer is None:
        raise PathfmError(f"no heatmap came: {session.message or 'no reason given'}")
    seconds = time.monotonic() - began
    story.fact(
        "Embedding",
        f"{job.total} tiles in {seconds:.1f} s, with loading the encoder"
        if job.total
        else "found in the cache",
    )
    story.shot(
        session.viewer,
        "2-heatmap.png",
        f"Similarity to the clicked point ({place[0]:.0f}, {place[1]:.0f}), level-0 px",
    )
    return heatmap_from_layer(similarity.layer.as_layer_data_tuple()), place


def _synthesis(
    story: Story, session: Session, state: SlideState, place: tuple[float, float]
) -> PlacedImages:
    synthesis = session.synthesis
    synthesis.n = _VARIANTS
    began = time.monotonic()
    synthesis.generate_at(*place)
    _wait(lambda: not synthesis.running)
    variation = synthesis.result
    if variation is None:
        raise PathfmError(f"no tissue came: {session.message or 'no reason given'}")
    seconds = time.monotonic() - began
    story.fact(
        "Synthesis", f"{_VARIANTS} variants in {seconds:.1f} s, with loading the models"
    )
    cosines = ", ".join(f"{c:.2f}" for c in variation.fidelity)
    story.fact("Cosine of each variant to its condition", cosines)
    side = variation.box[2] * state.slide.require_mpp()
    viewer = session.viewer
    viewer.scene.camera.center = state.world(*place)
    viewer.scene.camera.zoom = 0.3 * min(viewer.canvas.size) / side
    story.shot(
        viewer,
        "3-synthetic.png",
        "A synthetic variant in the place of the tile it was made from; the slider "
        "below turns to the others",
    )
    return variation


def _export(story: Story, heatmap: Heatmap, variation: PlacedImages) -> None:
    from napari_pathfm import exports
    from napari_pathfm.demo import Figure

    out = story.out
    exports.export_heatmap_ome_tiff(heatmap, out / "similarity.ome.tif")
    exports.export_heatmap_geojson(heatmap, out / "similarity.geojson")
    regions = exports.synthetic_features(variation.images, variation.box)
    exports.write_geojson(out / "synthetic.geojson", regions)
    exports.export_contact_sheet(
        variation.images,
        out / "4-variants.png",
        captions=[f"seed {i.provenance.seed}" for i in variation.images],
        source=variation.source,
    )
    story.figures.append(
        Figure("4-variants.png", "The real tile, and the variants made of it")
    )
    story.files += [
        ("similarity.ome.tif", "the heatmap, one pixel a tile, in micrometres"),
        ("similarity.geojson", "the same as QuPath tiles with measurements"),
        ("synthetic.geojson", "where the synthetic tiles belong, for QuPath"),
    ]
    for image in variation.images:
        name = f"synthetic-seed{image.provenance.seed}.png"
        exports.export_png(image, out / name)
        story.files.append((name, "synthetic tile with its provenance inside"))


def _dense(state: SlideState) -> tuple[float, float]:
    """Find the centre of the tile with most tissue."""
    from napari_pathfm.slides import tile_grid

    tissue = state.find_tissue()
    grid = tile_grid(state.slide, tissue=tissue)
    size = grid.tile_size
    corners = grid.coords.tolist()
    x, y = max(corners, key=lambda at: tissue.covered(at[0], at[1], size))
    return x + size / 2, y + size / 2


def _wait(finished: Callable[[], bool]) -> None:
    """Let the window live until something is finished.

    Raises
    ------
    PathfmError
        If it takes unreasonably long.
    """
    until = time.monotonic() + _PATIENCE_S
    while not finished():
        if time.monotonic() > until:
            raise PathfmError(
                f"the demo waited {_PATIENCE_S} s for one stage: it hangs"
            )
        _settle()


def _settle() -> None:
    from qtpy.QtWidgets import QApplication

    for _ in range(5):
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    raise SystemExit(main())
