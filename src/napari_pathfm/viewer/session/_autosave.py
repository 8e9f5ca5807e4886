"""The session kept while it goes on, and offered once after a crash."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer.session._saving import sections_text
from napari_pathfm.viewer.session._session_file import (
    SUFFIX,
    Bulk,
    remove_session,
    write_session,
    written_at,
)

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.viewer.session._session import Session

_FOLDER = "sessions"


@dataclass(frozen=True)
class Recovery:
    """A session whose program ended without closing it.

    Attributes
    ----------
    path : Path
        Where it is.
    when : str
        When it was last kept, for people.
    """

    path: Path
    when: str


class Autosave:
    """Keeps one running session in a file of its own.

    Parameters
    ----------
    session : Session
        Whose cache folder has the file.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._folder = session.cache / _FOLDER
        self._last = ""
        self.path = self._folder / f"running-{_self()}{SUFFIX}"

    def save(self) -> bool:
        """Keep the session if anything changed since; a failure is said quietly.

        Returns
        -------
        bool
            Whether it was written.
        """
        session = self._session
        if not session.states() and not self._last:
            return False
        bulk = Bulk(self.path)
        try:
            text = sections_text(session, bulk)
            if text == self._last and self.path.exists():
                return False
            write_session(self.path, text)
        except PathfmError as error:
            session.say(f"The session is not being kept: {error}")
            return False
        self._last = text
        bulk.tidy()
        return True

    def close(self) -> None:
        """Forget the file: the session ended as it should."""
        remove_session(self.path)

    def recovery(self) -> Recovery | None:
        """Find the newest session that a program left behind, once.

        It is marked so that it is not offered again; it stays until `discard`, or
        until another one is found.
        """
        left = [
            path
            for path in self._folder.glob(f"running-*{SUFFIX}")
            if path != self.path and not _alive(path)
        ]
        new = [path for path in left if not _offered(path).exists()]
        if not new:
            return None
        newest = max(new, key=lambda path: path.stat().st_mtime)
        _offered(newest).touch()
        for path in left:
            if path != newest:
                remove_session(path)
                _offered(path).unlink(missing_ok=True)
        return Recovery(newest, written_at(newest))

    def discard(self, recovery: Recovery) -> None:
        """Throw away what was offered."""
        remove_session(recovery.path)
        _offered(recovery.path).unlink(missing_ok=True)


def _offered(path: Path) -> Path:
    return path.with_suffix(".offered")


def _self() -> str:
    """Name this process: its number and when it began, as numbers come again."""
    import psutil

    return f"{os.getpid()}-{psutil.Process().create_time():.0f}"


def _alive(path: Path) -> bool:
    """Tell whether the process of a file still runs."""
    import psutil

    try:
        number, began = path.name[len("running-") : -len(SUFFIX)].split("-")
        return abs(psutil.Process(int(number)).create_time() - float(began)) < 2
    except (psutil.Error, ValueError):
        return False
