"""The manifest, and what importing what it names costs."""

from __future__ import annotations

import subprocess
import sys

from npe2 import PluginManifest

HEAVY = {"torch", "timm", "diffusers", "torchvision", "zarr"}


def manifest() -> PluginManifest:
    return PluginManifest.from_distribution("napari-pathfm")


def test_everything_named_can_be_imported():
    manifest().validate_imports()


def test_nothing_heavy_is_imported_by_what_it_names():
    modules = sorted(
        {
            command.python_name.split(":")[0]
            for command in manifest().contributions.commands
        }
    )
    code = (
        f"import sys\nfor name in {modules!r}: __import__(name)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_preferences_hold_the_cache_folder(plugin_settings, npe2pm, monkeypatch):
    from napari.settings import get_plugin_settings

    from napari_pathfm.viewer._cache import cache_folder

    monkeypatch.delenv("NAPARI_PATHFM_CACHE")
    assert cache_folder().name == "napari-pathfm"
    settings = get_plugin_settings("napari-pathfm")
    settings.storage.cache_dir = "/somewhere/else"
    assert str(cache_folder()) == "/somewhere/else"


def test_samples_open_as_slides(make_napari_viewer):
    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample("napari-pathfm", "drawn")
    assert layer.metadata["napari_pathfm"]["kind"] == "slide"
    assert layer.multiscale
    viewer.layers.clear()
    # Drawn once.
    viewer.open_sample("napari-pathfm", "drawn")


def test_real_sample_opens_from_the_cache(make_napari_viewer, cmu_slide_path):
    from napari_pathfm.viewer._cache import cache_folder

    cache_folder().mkdir(parents=True)
    (cache_folder() / cmu_slide_path.name).write_bytes(cmu_slide_path.read_bytes())
    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample("napari-pathfm", "cmu-1-small-region")
    assert layer.metadata["napari_pathfm"]["mpp"] == 0.499
