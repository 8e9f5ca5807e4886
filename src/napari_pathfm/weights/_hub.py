"""Weights from the Hugging Face hub, and what to tell a person who cannot have them."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator


def hub_file(repo: str, name: str, *, revision: str | None, access_page: str) -> Path:
    """Fetch one file, or find it in the hub's cache.

    The token comes from huggingface_hub's own store or from ``HF_TOKEN``;
    ``HF_HUB_OFFLINE`` is respected.

    Raises
    ------
    WeightsError
        Telling apart gated, unknown, offline and unreachable, with the way out.
    """
    from huggingface_hub import hf_hub_download

    try:
        with _retrying_quietly():
            return Path(hf_hub_download(repo, name, revision=revision))
    except Exception as error:
        raise _explained(error, repo, access_page) from error


def hub_folder(repo: str, *, revision: str | None, access_page: str) -> Path:
    """Fetch a whole repository, or find it in the hub's cache; raises as `hub_file`."""
    from huggingface_hub import snapshot_download

    try:
        with _retrying_quietly():
            return Path(snapshot_download(repo, revision=revision))
    except Exception as error:
        raise _explained(error, repo, access_page) from error


def cached_file(repo: str, name: str, *, revision: str | None) -> Path | None:
    """Path of a file in the hub's cache, without asking the network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, name, revision=revision)
    return Path(found) if isinstance(found, str) else None


@contextmanager
def _retrying_quietly() -> Iterator[None]:
    """Keep the line for each retry from the terminal; the outcome is said once."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _explained(error: Exception, repo: str, access_page: str) -> Exception:
    """Turn the hub's error into one line that names the way out."""
    from huggingface_hub import errors, get_token
    from huggingface_hub.errors import HfHubHTTPError

    local = "or give a downloaded folder with --weights DIR"
    if isinstance(error, errors.GatedRepoError):
        if get_token() is None:
            return WeightsError(
                f"{repo} is gated and no token is set: ask for access at "
                f"{access_page}, then run `hf auth login`; {local}"
            )
        return WeightsError(
            f"{repo} is gated and this token has no access: accept its licence at "
            f"{access_page} with the account of the token; {local}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return WeightsError(
            f"{repo} was not found, or this account may not see it: ask for access at "
            f"{access_page} and run `hf auth login`; {local}"
        )
    if isinstance(error, errors.RevisionNotFoundError | errors.EntryNotFoundError) and (
        not isinstance(error, errors.LocalEntryNotFoundError)
    ):
        return WeightsError(f"{repo} lacks the expected file or revision; {local}")
    if isinstance(error, HfHubHTTPError):
        return WeightsError(f"the hub answered for {repo}: {_line(error)}; {local}")
    # All that means "no network": offline mode, DNS, refused, timed out, no cache.
    if isinstance(error, errors.LocalEntryNotFoundError | OSError):
        return WeightsError(
            f"{repo} is not on this machine and the hub cannot be reached (no "
            f"network, or HF_HUB_OFFLINE is set): go online once; {local}"
        )
    return error


def _line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:160] if text else type(error).__name__
