"""Whether a file is the one that the hub has."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

_MOST_HOPS = 10
_SHA256 = re.compile(r"[0-9a-f]{64}")


def sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hops(path: Path) -> list[Path]:
    """A file, what it links to, what that links to, and so on to the content.

    In the hub's cache a snapshot links to a blob, which may link to a store that
    several repositories share.
    """
    found = [path]
    while found[-1].is_symlink() and len(found) < _MOST_HOPS:
        link = found[-1]
        found.append(Path(os.path.normpath(link.parent / link.readlink())))
    return found


def stated_sha256(path: Path, folder: Path) -> str | None:
    """What the hub said of a file's content when it was downloaded, if it is known.

    The hub's cache names the content of large files by their SHA-256, and points to it;
    ``hf download --local-dir`` notes it under ``.cache/huggingface/download``.
    """
    for hop in hops(path):
        if hop.parent.name == "blobs" and _SHA256.fullmatch(hop.name):
            return hop.name
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
