"""Options and fixtures of every test: the run without napari, and the shared slides."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["drawn_slide", "fake_hub", "model_folders"]  # tests/plugins

ROOT = Path(__file__).resolve().parent.parent
VIEWER_TESTS = ROOT / "tests" / "viewer"
WITHOUT_NAPARI = ROOT / "tests" / "without_napari"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-napari",
        action="store_true",
        help="run the core tests, with napari and Qt impossible to import",
    )
    parser.addoption(
        "--only-napari",
        action="store_true",
        help="run what --no-napari leaves out: the viewer's tests, and those marked",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--no-napari"):
        return
    sys.path.insert(0, str(WITHOUT_NAPARI))
    sys.modules.pop("sitecustomize", None)  # a distribution may have one of its own
    from sitecustomize import FORBIDDEN

    sys.path.remove(str(WITHOUT_NAPARI))
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(WITHOUT_NAPARI), *([inherited] if inherited else [])]
    )
    early = sorted(FORBIDDEN & sys.modules.keys())
    if early:
        raise pytest.UsageError(
            f"a plugin of pytest has imported {', '.join(early)} already; "
            "add the -p no:... options of the Makefile"
        )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if config.getoption("--no-napari") and collection_path == VIEWER_TESTS:
        return True
    return None


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    without, only = (config.getoption(f"--{how}-napari") for how in ("no", "only"))
    if not (without or only):
        return
    left_out = [item for item in items if _needs_napari(item) != only]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _needs_napari(item: pytest.Item) -> bool:
    marked = item.get_closest_marker("napari") is not None
    return marked or VIEWER_TESTS in item.path.parents


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real slides and tiles, kept beside the project and never in it."""
    told = os.environ.get("NAPARI_PATHFM_DATA")
    folder = Path(told) if told else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent (NAPARI_PATHFM_DATA names it)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _nobodys_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from, or left in, the settings of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("settings")
        patch.setenv("NAPARI_PATHFM_CONFIG", str(folder))
        patch.delenv("NAPARI_PATHFM_WEIGHTS", raising=False)
        yield


@pytest.fixture(autouse=True)
def _own_settings(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each test begins without an answer that another one gave."""
    folder = tmp_path_factory.mktemp("settings")
    monkeypatch.setenv("NAPARI_PATHFM_CONFIG", str(folder))


def _slide(folder: Path, name: str) -> Path:
    path = folder / "slides" / name
    if not path.is_file():
        pytest.skip(f"no real slide: {path} is absent")
    return path


@pytest.fixture(scope="session")
def cmu_slide_path(shared_data: Path) -> Path:
    """Aperio SVS, JPEG tiles, one level, mpp 0.499; skin."""
    return _slide(shared_data, "CMU-1-Small-Region.svs")


@pytest.fixture(scope="session")
def tcga_slide_path(shared_data: Path) -> Path:
    """Aperio SVS, JPEG 2000 tiles, two levels, no mpp and no objective power."""
    return _slide(shared_data, "TCGA-CR-7395-01A-01-TS1.svs")
