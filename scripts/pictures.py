#!/usr/bin/env python3
"""Make the guide's pictures anew from the real window: ``make pictures [ONLY=NAME]``.

Every picture is of the sample slide (CMU-1-Small-Region, CC0), the bundled models and
the panel as they are now, seeds fixed; what takes the mouse is done by the call behind.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
WINDOW = (1280, 800)
MOST_BYTES = 300_000
PATIENCE_S = 1800

# Places of the slide, in level-0 pixels.
EPIDERMIS = (1200.0, 1900.0)
STROKES = {  # from, to
    "epidermis": (((1180, 1750), (1240, 2050)), ((1130, 2350), (1160, 2500))),
    "dermis": (((900, 1150), (1050, 1300)), ((850, 1700), (900, 1850))),
}
REPAIR = (1150, 1850, 90, 70)
TWIN = (900, 1500, 600, 600)
FIELD = (900, 1400, 400, 500)
WALK = "1200,2000", "1010,1300"
STEERED = "1010,1300"
TOWARDS = "1200,2000", "1000,1200"  # like, unlike


def store(pixels: np.ndarray, name: str, folder: Path) -> None:
    """Write a picture as PNG of few colours, as small as the guide wants it."""
    image = Image.fromarray(np.asarray(pixels)[..., :3])
    for width, colours in (
        (1280, 256),
        (1280, 128),
        (1120, 128),
        (960, 128),
        (960, 64),
    ):
        if image.width > width:
            image = image.resize(
                (width, round(image.height * width / image.width)), Image.LANCZOS
            )
        buffer = io.BytesIO()
        image.quantize(colours, dither=Image.Dither.NONE).save(
            buffer, "PNG", optimize=True
        )
        if buffer.tell() < MOST_BYTES:
            break
    else:
        raise SystemExit(f"{name}.png has {buffer.tell()} bytes: show less")
    path = folder / f"{name}.png"
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(buffer.getvalue())
    os.replace(part, path)
    print(f"{path.name}: {image.width} x {image.height}, {buffer.tell():,} bytes")


def settle(seconds: float = 0.2) -> None:
    """Let the window draw."""
    from qtpy.QtWidgets import QApplication

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        QApplication.processEvents()
        time.sleep(0.01)


class Window:
    """The window on a slide, with the panel docked.

    Parameters
    ----------
    slide : Path
    folder : Path
        For the pictures.
    quick : bool
        Whether one step has to do where tissue is made.
    """

    def __init__(self, slide: Path, folder: Path, quick: bool) -> None:
        import napari

        from napari_pathfm.viewer.__main__ import PANEL, PLUGIN

        self.folder, self.quick = folder, quick
        self.viewer = napari.Viewer()
        self.viewer.window.resize(*WINDOW)
        self.viewer.open(slide, plugin=PLUGIN)
        _, self.panel = self.viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
        self.session = self.panel.session
        self.state = self.session.current
        settle(1)
        self.viewer.reset_view()
        self.sample("paper")

    def sample(self, preset: str) -> None:
        """Choose how tissue is sampled."""
        self.session.synthesis.preset = preset
        if self.quick:
            self.session.synthesis.steps = 1
            self.session.synthesis.changed.emit()

    def wait(self, finished) -> None:
        """Let it work until something is finished; complain of what went wrong."""
        until = time.monotonic() + PATIENCE_S
        while not finished():
            if time.monotonic() > until:
                raise SystemExit(f"waited {PATIENCE_S} s: {self.session.message}")
            settle(0.05)
        settle(1)

    def look(self, box, share: float = 0.5) -> None:
        """Bring a box ``(x, y, width, height)`` to the middle of the canvas."""
        x, y, width, height = box
        camera = self.viewer.scene.camera
        camera.center = self.state.world(x + width / 2, y + height / 2)
        side = max(width, height) * self.state.slide.require_mpp()
        camera.zoom = share * min(self.viewer.canvas.size) / side
        settle(1)

    def scroll(self, widget) -> None:
        """Bring a part of the panel into view."""
        from qtpy.QtWidgets import QScrollArea

        for area in self.panel.findChildren(QScrollArea):
            if area.isAncestorOf(widget):
                area.verticalScrollBar().setValue(
                    widget.mapTo(area.widget(), widget.rect().topLeft()).y()
                )
        settle()

    def shot(self, name: str) -> None:
        """Keep a picture of the whole window."""
        settle(1)
        pixels = self.viewer.screenshot(canvas_only=False, flash=False)
        store(pixels, name, self.folder)

    def strip(self, name: str, *options: str) -> None:
        """Keep the strip of frames that the shell's `generate` makes."""
        from napari_pathfm.cli import main

        if self.quick:
            options = (*options, "--steps", "1")
        with tempfile.TemporaryDirectory() as folder:
            path = str(self.state.slide.path)
            with redirect_stdout(sys.stderr):
                failed = main(["generate", path, *options, "--out", folder])
            if failed:
                raise SystemExit(f"generate {' '.join(options)} gave no strip")
            (made,) = Path(folder).glob("*_strip.png")
            store(np.asarray(Image.open(made).convert("RGB")), name, self.folder)

    def draw(self, work, box) -> None:
        """Draw a rectangle for a button that asks for one, and press it again."""
        x, y, width, height = box
        layer = work.draw(self.state)
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        ring = [layer.world_to_data(self.state.world(*corner)) for corner in corners]
        layer.add([np.array(ring)], shape_type="polygon")
        work.begin()
        self.wait(lambda: not self.session.synthesis.running)

    def clear(self) -> None:
        """Take away all layers but the slide."""
        for layer in list(self.viewer.layers):
            if layer is not self.state.layer:
                self.viewer.layers.remove(layer)
        self.viewer.layers.selection.active = self.state.layer
        self.sample("paper")
        settle()

    def label(self) -> None:
        """Paint two classes, two strokes each, and wait for the classifier."""
        session, chosen = self.session, self.session.classes.list
        # One tile beside the other is too few for strokes this short.
        session.similarity.overlap = 2
        for number, (name, strokes) in enumerate(STROKES.items()):
            if number == len(chosen):
                chosen.add()
                chosen.rename(number, name)
            layer = session.classes.brush.make_layer(self.state)
            for start, end in strokes:
                for at in np.linspace(start, end, 12):
                    layer.paint(layer.world_to_data(self.state.world(*at)), number + 1)
        session.classes.paint()
        self.wait(lambda: session.classes.answer and session.classes.answer.validation)
        self.wait(lambda: not session.classes.job.running)


def slide(window: Window) -> None:
    """The slide, opened."""
    window.shot("slide")


def heatmap(window: Window) -> None:
    """Where the tissue is like the clicked epidermis."""
    window.panel.tool.active = True
    window.session.similarity.overlap = 2
    window.session.prompt(window.state.world(*EPIDERMIS))
    job = window.session.similarity.job
    window.wait(lambda: job is None or not job.running)
    window.shot("heatmap")
    window.panel.tool.active = False


def fine(window: Window) -> None:
    """The same click patch by patch, of what is in view."""
    session = window.session
    session.prompt(window.state.world(*EPIDERMIS))
    job = session.similarity.job
    window.wait(lambda: job is None or not job.running)
    x, y = EPIDERMIS
    window.look((x - 450, y - 450, 900, 900), 0.9)
    session.fine.on = True
    settle(1.0)  # the view has to rest
    window.wait(lambda: session.fine.job is None or not session.fine.job.running)
    window.shot("fine")
    session.fine.on = False


def synthetic(window: Window) -> None:
    """A variant in the place of its tile, beside it, and how far to trust it."""
    session = window.session
    session.synthesis.n = 4
    session.synthesis.generate_at(*EPIDERMIS)
    window.wait(lambda: not session.synthesis.running)
    if session.synthesis.result is None:
        raise SystemExit(session.message)
    hidden = [
        one
        for one in window.viewer.layers
        if one is not window.state.layer and one not in window.viewer.layers[-1:]
    ]
    for layer in hidden:
        layer.visible = False
    box = session.synthesis.result.box
    window.look(box, 0.4)
    window.scroll(window.panel.synthesis)
    window.shot("synthetic")
    session.compare.toggle_side_by_side()
    window.look(box, 0.35)
    window.shot("compare")
    session.compare.toggle_side_by_side()
    session.fidelity.begin()
    window.wait(lambda: not session.fidelity.running)
    window.look(box, 0.4)
    window.scroll(window.panel.synthesis.fidelity)
    window.shot("fidelity")
    window.clear()


def classes(window: Window) -> None:
    """Two classes, two strokes each."""
    session = window.session
    window.viewer.reset_view()
    window.label()
    window.scroll(window.panel.classes)
    window.shot("classes")
    session.classes.paint(False)
    window.clear()


def repair(window: Window) -> None:
    """A part made anew from its surroundings."""
    window.draw(window.session.repairs, REPAIR)
    window.look(window.session.synthesis.result.box, 0.5)
    window.scroll(window.panel.synthesis)
    window.shot("repair")
    window.clear()


def twin(window: Window) -> None:
    """A region once more."""
    window.sample("fast")
    window.draw(window.session.twins, TWIN)
    window.look(window.session.synthesis.result.box, 0.7)
    window.scroll(window.panel.synthesis)
    window.shot("twin")
    window.clear()


def extend(window: Window) -> None:
    """A field carried on."""
    window.sample("fast")
    window.draw(window.session.extensions, FIELD)
    window.look(window.session.synthesis.result.box, 0.7)
    window.scroll(window.panel.synthesis)
    window.shot("extend")
    window.clear()


def virtual(window: Window) -> None:
    """The whole slide once more."""
    made = window.session.virtual
    # All of the slide, between its name above and the minimap below.
    width, height = window.state.slide.dimensions
    window.look((0, -0.07 * height, width, 1.34 * height), 1.55)
    window.sample("fast")
    made.begin()
    window.wait(lambda: not made.running)
    if made.layer is None or made.too_far:
        raise SystemExit(window.session.message or "the slide is too far away")
    window.scroll(window.panel.synthesis)
    window.shot("virtual")
    window.clear()


def walk(window: Window) -> None:
    """From epidermis to dermis."""
    start, end = WALK
    window.strip("walk", "--at", start, "--to", end, "--frames", "7")


def steered(window: Window) -> None:
    """Dermis steered towards epidermis, and what a classifier says of each step."""
    window.label()
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few.json"
        window.session.classes.save(few)
        window.session.classes.paint(False)
        like, unlike = TOWARDS
        window.strip(
            "steered",
            *("--at", STEERED, "--steer", str(few), "--towards", "epidermis"),
            *("--like", like, "--unlike", unlike, "--frames", "6"),
        )
    window.clear()


SCENES = (
    slide,
    heatmap,
    fine,
    synthetic,
    classes,
    repair,
    twin,
    extend,
    virtual,
    walk,
    steered,
)


def main() -> int:
    """Make the pictures that are asked for, or all."""
    names = [scene.__name__ for scene in SCENES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--quick",
        type=Path,
        metavar="FOLDER",
        help="one step where tissue is made, and the pictures to FOLDER: does it work?",
    )
    options = parser.parse_args()
    images = options.quick or IMAGES
    images.mkdir(parents=True, exist_ok=True)
    unknown = set(options.only) - {*names}
    if unknown:
        parser.error(f"no such picture: {', '.join(sorted(unknown))}")
    from napari_pathfm.demo import cached_sample, sample_slide

    with tempfile.TemporaryDirectory() as folder:
        path, _ = sample_slide()
        if cached_sample() != path:
            raise SystemExit("the sample slide cannot be had; pictures show no other")
        # Nobody's stores, sessions or preferences show in the pictures.
        os.environ["NAPARI_PATHFM_CONFIG"] = folder
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "napari.yaml")
        os.environ["NAPARI_PATHFM_CACHE"] = folder
        scenes = [
            one for one in SCENES if not options.only or one.__name__ in options.only
        ]
        if scenes:
            window = Window(path, images, options.quick is not None)
            for scene in scenes:
                scene(window)
            window.viewer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
