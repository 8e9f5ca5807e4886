"""A drawn slide with a landmark, models that answer at once, a hand on the mouse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

sys.path.insert(0, str(Path(__file__).parent))

from fakes import FakeModels
from hand import Hand

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_pathfm.viewer.panel import ModelsPanel
    from napari_pathfm.viewer.session import Session

MPP = 0.5
TILE = 224  # level-0 pixels: the bundled models see 224 px at 0.5 um

# A dark square of exactly one tile of the grid, row 3 and column 2.
LANDMARK = (2 * TILE, 3 * TILE)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    """Nothing is read from, or left in, the cache of whoever runs the tests."""
    monkeypatch.setenv("NAPARI_PATHFM_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def manifests():
    from npe2 import PluginManifest

    return [PluginManifest.from_distribution(n) for n in ("napari", "napari-pathfm")]


@pytest.fixture(autouse=True)
def _plugins(npe2pm, manifests, plugin_settings):
    """napari's own plugin and ours, with preferences that are nobody's."""
    for manifest in manifests:
        npe2pm.register(manifest)


@pytest.fixture(scope="session")
def drawn_path(tmp_path_factory) -> Path:
    """A pyramid of 1568 x 1344 px, pink tissue with a blue landmark, glass around."""
    return draw(tmp_path_factory.mktemp("slides") / "drawn.tif", MPP)


@pytest.fixture(scope="session")
def unknown_mpp_path(tmp_path_factory) -> Path:
    """The same without a pixel size."""
    return draw(tmp_path_factory.mktemp("slides") / "unknown.tif", None)


def draw(path: Path, mpp: float | None) -> Path:
    pixels = np.full((6 * TILE, 7 * TILE, 3), 242, np.uint8)
    pixels[TILE : 5 * TILE, TILE : 6 * TILE] = (220, 150, 190)
    x, y = LANDMARK
    pixels[y : y + TILE, x : x + TILE] = (60, 40, 140)
    options = {"tile": (256, 256), "photometric": "rgb", "metadata": None}
    if mpp is not None:
        per_cm = 1e4 / mpp
        options |= {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as tif:
        for factor in (1, 2):
            tif.write(
                pixels[::factor, ::factor], subfiletype=int(factor > 1), **options
            )
    return path


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def open_layer() -> Callable:
    """Open a slide in a viewer as napari's File > Open does, less the dialog."""

    def opened(viewer: ViewerModel, path: Path):
        from napari_pathfm.viewer._reader import get_reader

        reader = get_reader(str(path))
        assert reader is not None
        ((data, keywords, kind),) = reader(str(path))
        assert kind == "image"
        return viewer.add_image(data, **keywords)

    return opened


@pytest.fixture
def session(models, tmp_path, drawn_path, open_layer):
    """A session on the drawn slide, without Qt; work is done where it is asked for."""
    from napari.components import ViewerModel

    from napari_pathfm.viewer.session import Session

    viewer = ViewerModel()
    open_layer(viewer, drawn_path)
    made: Session = Session(viewer, models=models, cache=tmp_path / "stores")
    yield made
    made.close()


@pytest.fixture
def window(make_napari_viewer, models, tmp_path, drawn_path, open_layer, qtbot):
    """A real window with the drawn slide, the panel docked, and a hand to use it."""
    from napari_pathfm.viewer.panel import ModelsPanel

    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    panel: ModelsPanel = ModelsPanel(viewer, models=models, cache=tmp_path / "stores")
    viewer.window.add_dock_widget(panel, name="Pathology models")
    open_layer(viewer, drawn_path)
    yield Hand(viewer, panel, qtbot)
    panel.shut()
    qtbot.waitUntil(lambda: not panel.runner.busy, timeout=20_000)
