"""The session file: JSON with named sections, and files of bulk beside it.

``NAME.pathfm.json`` holds small things. What is large (drawn objects, synthetic pixels)
lies in the folder ``NAME.pathfm.files`` under names made of its contents, is written
before the JSON that names it and never changed; so whatever moment the process dies at,
the JSON that stands is whole and everything it names is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import SessionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SUFFIX = ".pathfm.json"
_KIND = "napari-pathfm session"
_VERSION = 1

# Far above any session: what is larger is something else.
_LARGEST = 64 * 2**20

_BULK = re.compile(r"[0-9a-f]{32}(\.[a-z]+){1,2}")


class Bulk:
    """Large things of one session file, each under a name made of its contents.

    Parameters
    ----------
    session : Path
        The session file that they belong to.
    """

    def __init__(self, session: Path) -> None:
        name = session.name.removesuffix(SUFFIX).removesuffix(".json")
        self.folder = session.with_name(f"{name}.pathfm.files")
        self.used: set[str] = set()
        # What could not be kept, for people.
        self.told: list[str] = []

    def keep(self, key: bytes, suffix: str, write: Callable[[Path], object]) -> str:
        """Write something once, and give the name by which `file` finds it.

        Parameters
        ----------
        key : bytes
            What it consists of: the same key is the same file.
        suffix : str
            Such as ``".geojson"``.
        write : callable
            Writes to the path that it is given, whose name ends in `suffix`.

        Raises
        ------
        OSError, PathfmError
            What `write` raises; nothing is left.
        """
        digest = hashlib.sha256(key + suffix.encode()).hexdigest()[:32]
        name = digest + suffix
        self.used.add(name)
        target = self.folder / name
        if not target.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = self.folder / f"{uuid.uuid4().hex}.partial{suffix}"
            try:
                write(partial)
                os.replace(partial, target)
            finally:
                partial.unlink(missing_ok=True)
        return name

    def file(self, name: object) -> Path:
        """Find something that a session names; never outside the session's own folder.

        Raises
        ------
        SessionError
            It is no such name, or the file is gone.
        """
        if not isinstance(name, str) or not _BULK.fullmatch(name):
            raise SessionError(f"{name!r} is no file of a session")
        path = self.folder / name
        if path.is_symlink() or not path.is_file():
            raise SessionError(f"{path} is missing: copy the folder beside the session")
        return path

    def tidy(self) -> None:
        """Remove what the session no longer names."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if path.name not in self.used and _BULK.fullmatch(path.name):
                    with suppress(OSError):
                        path.unlink()
            with suppress(OSError):
                self.folder.rmdir()  # where it is empty


def to_text(sections: Mapping[str, Any]) -> str:
    """Give sections as one line of JSON each, the same for the same content."""
    lines = [
        f"{json.dumps(name)}: {json.dumps(data, sort_keys=True, allow_nan=False)}"
        for name, data in sections.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}"


def write_session(path: Path, sections: str) -> None:
    """Write a session file, whole or not at all.

    Parameters
    ----------
    path : Path
        An existing file is replaced.
    sections : str
        From `to_text`.

    Raises
    ------
    SessionError
        It cannot be written; the old file still stands.
    """
    from napari_pathfm import __version__

    head = {"format": _KIND, "version": _VERSION}
    head |= {"software": f"napari-pathfm {__version__}"}
    head |= {"written": datetime.now(UTC).isoformat(timespec="seconds")}
    text = json.dumps(head)[:-1] + f', "sections": {sections}}}\n'
    neighbour = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(neighbour, "w", encoding="utf-8") as file:
            file.write(text)
            # A machine that loses power must not have the name without the contents.
            file.flush()
            os.fsync(file.fileno())
        os.replace(neighbour, path)
    except OSError as error:
        raise SessionError(
            f"{path} cannot be written: {error.strerror or error}; choose another place"
        ) from error
    finally:
        with suppress(OSError):
            neighbour.unlink(missing_ok=True)


def read_session(path: Path) -> dict[str, Any]:
    """Read the sections of a session file; nothing in it is carried out.

    Returns
    -------
    dict of str to JSON values

    Raises
    ------
    SessionError
        It is missing, cut off, too large, of a later version or something else.
    """
    if not path.is_file():
        raise SessionError(f"There is no session file {path}.")
    if path.stat().st_size > _LARGEST:
        raise SessionError(
            f"{path} is {path.stat().st_size / 2**20:.0f} MiB: no session is that large"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise SessionError(
            f"{path} is damaged or no session ({reason}): use an older copy"
        ) from error
    if not isinstance(found, dict) or found.get("format") != _KIND:
        raise SessionError(f"{path} is no session of napari-pathfm")
    version = found.get("version")
    if version != _VERSION:
        raise SessionError(
            f"{path} is of version {str(version)[:20]}, this program reads {_VERSION}: "
            "update napari-pathfm"
        )
    sections = found.get("sections")
    if not isinstance(sections, dict):
        raise SessionError(f"{path} is damaged: it has no sections")
    return sections


def written_at(path: Path) -> str:
    """Say when a session file was written, for people."""
    moment = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    return f"{moment:%Y-%m-%d %H:%M}"


def remove_session(path: Path) -> None:
    """Remove a session file and its folder, if they are there."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
    shutil.rmtree(Bulk(path).folder, ignore_errors=True)
