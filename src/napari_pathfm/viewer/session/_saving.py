"""A session to its file and back, section by section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError, SessionError
from napari_pathfm.viewer.session._across import AcrossSection
from napari_pathfm.viewer.session._class_section import ClassesSection
from napari_pathfm.viewer.session._script_section import ScriptSection
from napari_pathfm.viewer.session._sections import (
    PromptsSection,
    SettingsSection,
    ViewSection,
    damaged,
)
from napari_pathfm.viewer.session._session_file import (
    SUFFIX,
    Bulk,
    read_session,
    to_text,
    write_session,
)
from napari_pathfm.viewer.session._session_layers import LayersSection
from napari_pathfm.viewer.session._session_slides import SlidesSection
from napari_pathfm.viewer.session._virtual_section import VirtualSection

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.viewer.session._sections import Section
    from napari_pathfm.viewer.session._session import Session

#: In the order of reading: each finds there what it lies on.
SECTIONS: tuple[Section, ...] = (
    SlidesSection(),
    SettingsSection(),
    LayersSection(),
    PromptsSection(),
    ClassesSection(),
    AcrossSection(),
    ViewSection(),
    # After the view, as it is made where that looks.
    VirtualSection(),
    ScriptSection(),
)


def save(session: Session, path: Path) -> list[str]:
    """Write a session, whole or not at all.

    Parameters
    ----------
    session : Session
    path : Path
        Its name must end in ``.pathfm.json``. An existing session is replaced.

    Returns
    -------
    list of str
        Lines for people: layers that could not be kept, and why.

    Raises
    ------
    SessionError
        It cannot be written.
    """
    if not path.name.endswith(SUFFIX):
        raise SessionError(f"{path} cannot be written: the name must end in {SUFFIX}")
    bulk = Bulk(path)
    text = sections_text(session, bulk)
    write_session(path, text)
    bulk.tidy()
    return bulk.told


def sections_text(session: Session, bulk: Bulk) -> str:
    """Give all sections as text; what is large is written beside."""
    kept: dict[str, Any] = dict(session.unknown_sections)
    try:
        for section in session.sections:
            data = section.write(session, bulk)
            if data is not None:
                kept[section.name] = data
    except OSError as error:
        raise SessionError(
            f"{bulk.folder} cannot be written: {error.strerror or error}"
        ) from error
    return to_text(kept)


def restore(session: Session, path: Path) -> list[str]:
    """Bring back what a session file holds, beside what is open.

    Returns
    -------
    list of str
        Lines for people: what was found elsewhere, or not at all, and sections that
        were damaged and left out.

    Raises
    ------
    SessionError
        The file as a whole is no session; nothing was changed.
    """
    data = read_session(path)
    bulk = Bulk(path)
    told: list[str] = []
    known = {section.name for section in session.sections}
    session.unknown_sections |= {
        name: value for name, value in data.items() if name not in known
    }
    for section in session.sections:
        if section.name not in data:
            continue
        try:
            told += section.read(session, data[section.name], bulk)
        except (PathfmError, KeyError, TypeError, ValueError, AttributeError) as error:
            told.append(str(damaged(path, section.name, error)))
    return told
