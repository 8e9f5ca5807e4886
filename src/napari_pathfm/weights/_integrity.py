"""Whether a file is the one that the hub has."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stated_sha256(path: Path, folder: Path) -> str | None:
    """What the hub said of a file's content when it was downloaded, if it is known.

    The hub's cache names the content of large files by their SHA-256, and points to it;
    ``hf download --local-dir`` notes it under ``.cache/huggingface/download``.
    """
    content = path.resolve()
    if content.parent.name == "blobs" and _SHA256.fullmatch(content.name):
        return content.name
    try:
        relative = path.relative_to(folder)
    except ValueError:
        return None
    notes = folder / ".cache" / "huggingface" / "download"
    note = notes / relative.parent / f"{relative.name}.metadata"
    if not note.is_file():
        return None
    told = note.read_text(encoding="utf-8", errors="replace").splitlines()
    stated = told[1].strip() if len(told) > 1 else ""
    return stated if _SHA256.fullmatch(stated) else None
