"""Start another Python that may open a window: napari is not imported here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from napari_pathfm.errors import PathfmError


def has_display() -> bool:
    """Tell whether a window can be opened."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def run_module(module: str, arguments: list[str], *, hidden: bool) -> int:
    """Run ``python -m module``; hidden means on a virtual screen of Xvfb's.

    Raises
    ------
    PathfmError
        If a virtual screen is needed and cannot be had.
    """
    command = [sys.executable, "-m", module, *arguments]
    if hidden:
        xvfb = shutil.which("xvfb-run")
        if xvfb is None:
            raise PathfmError(
                "there is no display and no xvfb-run: install xvfb, or start this on a "
                "desktop"
            )
        command = [xvfb, "-a", "-s", "-screen 0 1600x1000x24", *command]
    # The command is this very Python and our own module.
    return subprocess.run(command, check=False).returncode  # noqa: S603
