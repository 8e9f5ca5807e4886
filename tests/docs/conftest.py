"""The one folder in which the documents' blocks run, and what its files stand for."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

# The slides of pages on two of them: name, and seed of the drawing.
TWO_SLIDES = {"a": 1, "b": 2}


@pytest.fixture(scope="module")
def thrifty():
    """The bundled generator with formulas for networks, and few steps."""
    import torch

    from napari_pathfm.generators._autoencoder import (
        DOWNSAMPLE,
        LATENT_CHANNELS,
        Autoencoder,
    )
    from napari_pathfm.generators._bundled import BUNDLED
    from napari_pathfm.generators._unet import UNet

    def velocity(self, x, t, condition, drop=None):
        told = torch.zeros(len(x), 1) if condition is None else condition[:, :1]
        around = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return around - told[:, :, None, None]

    def encode(self, images):
        small = images[:, :, ::DOWNSAMPLE, ::DOWNSAMPLE]
        return small.repeat(1, LATENT_CHANNELS // 3 + 1, 1, 1)[:, :LATENT_CHANNELS]

    def decode(self, latents):
        rows = latents[:, :3].repeat_interleave(DOWNSAMPLE, 2)
        return rows.repeat_interleave(DOWNSAMPLE, 3).mul(0.3)

    few = {"steps": 2, "fast": ("euler", 2)}
    kept = {name: getattr(BUNDLED, name) for name in few}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UNet, "forward", velocity)
        patch.setattr(Autoencoder, "encode", encode)
        patch.setattr(Autoencoder, "decode", decode)
        patch.setenv("HF_HUB_OFFLINE", "1")  # no page's block may wait for a network
        for name, value in few.items():
            object.__setattr__(BUNDLED, name, value)
        yield
    for name, value in kept.items():
        object.__setattr__(BUNDLED, name, value)


@pytest.fixture(scope="module")
def work(tmp_path_factory, thrifty):
    """A folder with everything that a page takes for granted."""
    from napari_pathfm.cli import main
    from napari_pathfm.slides import draw_slide

    folder = tmp_path_factory.mktemp("documents")
    before = Path.cwd()
    os.chdir(folder)

    def run(*words):
        assert main([str(word) for word in words]) == 0

    try:
        draw_slide("slide.svs", width=2000, height=2800)
        for name, seed in TWO_SLIDES.items():
            draw_slide(f"{name}.svs", width=1000, height=1000, seed=seed)
            squares(f"{name}.geojson", {"tumour": (280, 330), "stroma": (500, 560)})
        Path("study").mkdir()
        os.link("a.svs", "study/a.svs")
        squares("labels.geojson", {"epidermis": (1150, 1800), "dermis": (900, 1200)})
        squares("marks.geojson", {"pen": (1100, 1800)}, side=80)
        for name in ("regions", "annotations", "objects"):
            shutil.copy("labels.geojson", f"{name}.geojson")
        Path("slides.csv").write_text("slide,mpp\na.svs,0.5\nb.svs,0.5\n")
        run("embed", "slide.svs", "a.svs", "b.svs", "--out", "stores")
        shutil.copytree("stores/a.bundled.zarr", "stores/a.h0-mini.zarr")
        store = "stores/slide.bundled.zarr"
        shutil.copytree(store, "slide.bundled.zarr")
        labelled = ["heatmap", store, "--labels", "labels.geojson"]
        run(*labelled, "--save-classifier", "few.json", "--out", "map.ome.tif")
        for name, at in (("tumour", "1200,1900"), ("stroma", "900,1300")):
            run("heatmap", store, "--like", at, "--out", f"{name}.ome.tif")
        shutil.copy("tumour.ome.tif", "MAP.ome.tif")
    finally:
        os.chdir(before)
    return folder


def squares(path, places, side=200):
    """Write one classified square a place."""
    features = []
    for name, (x, y) in places.items():
        ring = [(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)]
        properties = {
            "objectType": "annotation",
            "classification": {"name": name, "color": [200, 60, 60]},
        }
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append(
            {"type": "Feature", "geometry": geometry, "properties": properties}
        )
    collection = {"type": "FeatureCollection", "features": features}
    Path(path).write_text(json.dumps(collection))
