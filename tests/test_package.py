from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

import napari_pathfm

HEAVY = {
    "dask",
    "diffusers",
    "napari",
    "numpy",
    "openslide",
    "qtpy",
    "scipy",
    "skimage",
    "sklearn",
    "tifffile",
    "timm",
    "torch",
    "transformers",
    "zarr",
}


def fresh(code: str) -> str:
    """Return what a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_import_brings_nothing_heavy() -> None:
    loaded = json.loads(
        fresh("import json, sys, napari_pathfm; print(json.dumps(list(sys.modules)))")
    )
    assert not HEAVY & {name.partition(".")[0] for name in loaded}


def test_import_is_quick() -> None:
    code = (
        "import time; start = time.perf_counter(); import napari_pathfm; "
        "print(time.perf_counter() - start)"
    )
    # The best of several: the machine may be busy with something else.
    assert min(float(fresh(code)) for _ in range(5)) < 0.2


@pytest.mark.parametrize("name", sorted(napari_pathfm.__all__))
def test_public_name_resolves(name: str) -> None:
    assert getattr(napari_pathfm, name) is not None
    assert name in dir(napari_pathfm)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = napari_pathfm.no_such_name


def test_napari_cannot_be_imported_in_the_run_without_it(
    request: pytest.FixtureRequest,
) -> None:
    if not request.config.getoption("--no-napari"):
        pytest.skip("only the run with --no-napari forbids napari")
    for name in ("napari", "napari.layers", "qtpy", "PyQt6", "PySide6"):
        with pytest.raises(ImportError, match="--no-napari"):
            importlib.import_module(name)
    for name in ("vispy", "magicgui", "superqt"):
        with pytest.raises(ImportError, match="--no-napari"):
            importlib.import_module(name)
    # A program that a test starts is held to it too.
    code = "try:\n    import napari\nexcept ImportError as error:\n    print(error)"
    assert "--no-napari" in fresh(code)
