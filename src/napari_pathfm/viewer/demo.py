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
    from napari_pathfm.viewer.panel import ModelsPanel

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
    from napari_pathfm.embeddings import open_store

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
    _tissue(story, viewer, panel)
    place = _heatmap(story, viewer, panel)
    _synthesis(story, viewer, panel, place)
    _export(story, panel, open_store(panel.session.similarity.store_path))
    write_page(
        out / "index.html", facts=story.facts, figures=story.figures, files=story.files
    )
    print(f"Results: {out / 'index.html'}", flush=True)
    if leave_open:
        napari.run()
    else:
        viewer.close()


def _tissue(story: Story, viewer: Any, panel: ModelsPanel) -> None:
    session = panel.session
    session.tissue.show()
    _wait(lambda: session.current.tissue is not None)
    story.fact("Tissue", f"{session.current.tissue.fraction:.1%} of the slide")
    story.shot(viewer, "1-tissue.png", "The slide, and the tissue that was found on it")
    session.tissue.hide()


def _heatmap(story: Story, viewer: Any, panel: ModelsPanel) -> tuple[float, float]:
    session = panel.session
    state = session.current
    place = _EPIDERMIS if state.slide.vendor == "aperio" else _dense(state)
    panel.tool.active = True
    similarity = session.similarity
    # Half a tile from one to the next: four times the tiles, a finer map.
    similarity.overlap = 2
    began = time.monotonic()
    session.prompt(state.world(*place))
    _wait(lambda: similarity.job is not None and not similarity.job.running)
    if similarity.layer is None:
        raise PathfmError(f"no heatmap came: {session.message or 'no reason given'}")
    seconds = time.monotonic() - began
    tiles = similarity.job.total
    story.fact(
        "Embedding",
        f"{tiles} tiles in {seconds:.1f} s, with loading the encoder"
        if tiles
        else "found in the cache",
    )
    story.shot(
        viewer,
        "2-heatmap.png",
        f"Similarity to the clicked point ({place[0]:.0f}, {place[1]:.0f}), level-0 px",
    )
    return place


def _synthesis(
    story: Story, viewer: Any, panel: ModelsPanel, place: tuple[float, float]
) -> None:
    session = panel.session
    synthesis = session.synthesis
    synthesis.n = _VARIANTS
    began = time.monotonic()
    synthesis.generate_at(*place)
    _wait(lambda: synthesis.job is not None and not synthesis.job.running)
    if synthesis.variation is None:
        raise PathfmError(f"no tissue came: {session.message or 'no reason given'}")
    seconds = time.monotonic() - began
    story.fact(
        "Synthesis", f"{_VARIANTS} variants in {seconds:.1f} s, with loading the models"
    )
    cosines = ", ".join(f"{c:.2f}" for c in synthesis.variation.fidelity)
    story.fact("Cosine of each variant to its condition", cosines)
    side = synthesis.variation.box[2] * session.current.mpp
    viewer.scene.camera.center = session.current.world(*place)
    viewer.scene.camera.zoom = 0.3 * min(viewer.canvas.size) / side
    story.shot(
        viewer,
        "3-synthetic.png",
        "A synthetic variant in the place of the tile it was made from; the slider "
        "below turns to the others",
    )


def _export(story: Story, panel: ModelsPanel, store: Any) -> None:
    from napari_pathfm import exports
    from napari_pathfm.demo import Figure
    from napari_pathfm.heatmaps import similarity

    prompts = panel.session.current.prompts
    heatmap = similarity(store, prompts.points("like"), prompts.points("unlike"))
    variation = panel.session.synthesis.variation
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


def _dense(state: Any) -> tuple[float, float]:
    """Find the centre of the tile with most tissue."""
    from napari_pathfm.slides import tile_grid

    grid = tile_grid(state.slide, tissue=state.find_tissue())
    corners = grid.coords
    covered = [state.tissue.covered(x, y, grid.tile_size) for x, y in corners.tolist()]
    x, y = (
        corners[max(range(len(covered)), key=covered.__getitem__)] + grid.tile_size / 2
    )
    return float(x), float(y)


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
