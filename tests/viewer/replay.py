"""A session's script carried out by another process, in which there is no napari."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_pathfm.viewer.session import Session

TESTS = Path(__file__).parents[1]


def replay(
    session: Session, script: str, folder: Path, before: str = ""
) -> dict[str, str]:
    """Run a script, with all stores made anew.

    Parameters
    ----------
    session : Session
    script : str
        Its own, perhaps with other places of files, or lines of a test's own.
    folder : Path
        For script and stores.
    before : str
        Code that goes before: other models, say.

    Returns
    -------
    dict of str to str
        What it printed, line by line.
    """
    stores = str(session.script.stores)
    assert stores in script
    path = folder / "script.py"
    path.write_text(before + script.replace(stores, str(folder / "stores")))
    paths = [TESTS / "without_napari", TESTS / "plugins"]
    ran = subprocess.run(
        [sys.executable, str(path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr + script
    return dict(line.rsplit(": ", 1) for line in ran.stdout.splitlines())
