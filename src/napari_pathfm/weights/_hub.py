"""Weights from the Hugging Face hub, and what to tell a person who cannot have them."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import WeightsError
from napari_pathfm.weights._causes import Cause, Finding, words
from napari_pathfm.weights._explain import finding_of
from napari_pathfm.weights._integrity import hops, sha256, stated_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COARSE_NS = 1_000_000_000


def hub_file(repo: str, name: str, *, revision: str | None, access_page: str) -> Path:
    """Fetch one file, or find it in the hub's cache.

    The token comes from huggingface_hub's own store or from ``HF_TOKEN``;
    ``HF_HUB_OFFLINE`` is respected. What is downloaded is compared with the checksum
    that the hub states; a file that differs is deleted and never used.

    Raises
    ------
    WeightsError
        Telling the causes of `Cause` apart, with the way out.
    """
    from huggingface_hub import hf_hub_download

    before = cached_file(repo, name, revision=revision)
    try:
        with retrying_quietly():
            path = Path(hf_hub_download(repo, name, revision=revision))
    except Exception as error:
        raise _explained(error, repo, access_page) from error
    if path != before:
        _verify([path], path.parent, repo, access_page)
    return path


def hub_folder(repo: str, *, revision: str | None, access_page: str) -> Path:
    """Fetch a whole repository, or find it in the hub's cache; raises as `hub_file`."""
    from huggingface_hub import snapshot_download

    # File systems tell the time more coarsely than the clock.
    began = time.time_ns() - _COARSE_NS
    try:
        with retrying_quietly():
            folder = Path(snapshot_download(repo, revision=revision))
    except Exception as error:
        raise _explained(error, repo, access_page) from error
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    fresh = [path for path in files if path.stat().st_mtime_ns >= began]
    _verify(fresh, folder, repo, access_page)
    return folder


def cached_file(repo: str, name: str, *, revision: str | None) -> Path | None:
    """Path of a file in the hub's cache, without asking the network."""
    from huggingface_hub import errors, try_to_load_from_cache

    try:
        found = try_to_load_from_cache(repo, name, revision=revision)
    except errors.HFValidationError:
        return None  # no repository can be called that
    return Path(found) if isinstance(found, str) else None


@contextmanager
def retrying_quietly() -> Iterator[None]:
    """Keep the line for each retry from the terminal; the outcome is said once."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _verify(fresh: Sequence[Path], folder: Path, repo: str, access_page: str) -> None:
    """Compare fresh files with what the hub said of them; delete those that differ."""
    wrong = []
    for path in fresh:
        stated = stated_sha256(path, folder)
        if stated is not None and sha256(path) != stated:
            for hop in hops(path):
                hop.unlink(missing_ok=True)
            wrong.append(path.name)
    if wrong:
        raise _said(Finding(Cause.CHECKSUM, ", ".join(wrong)), repo, access_page)


def _explained(error: Exception, repo: str, access_page: str) -> Exception:
    """Turn the hub's error into one line that names the way out."""
    found = finding_of(error)
    return error if found is None else _said(found, repo, access_page)


def _said(found: Finding, repo: str, access_page: str) -> WeightsError:
    means, remedy = words(found, model=repo, repo=repo, page=access_page)
    return WeightsError(f"{repo} cannot be fetched: {means}: {remedy}")
