"""Bring heavy packages into napari's process: without a crash, and without stalls.

Three things go wrong when PyTorch is simply imported in a worker thread of a program
with windows.

Mesa, which draws the canvas on many Linux machines, brings LLVM and makes its symbols
visible to all. Triton, which torchvision's import pulls in, brings another LLVM; its
calls then land in Mesa's and the process dies. Binding Triton to its own symbols first
avoids that.

Python holds its lock while the system loads a library: a second and more for PyTorch's,
in which no click is heard. Called through ctypes the same loading holds no lock; the
import that follows finds the libraries there.

And thousands of new functions and classes make the garbage collector look through all
of them, again and again, under the same lock: up to 0.3 s each time. It rests
meanwhile.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_lock = threading.RLock()

# In this order, and in these modes, PyTorch itself loads them.
_LIBRARIES = (("libtorch_global_deps.so", "RTLD_GLOBAL"), ("libtorch_python.so", None))


def import_models() -> None:
    """Import what encoders, generators and stores need; seconds, in a worker only."""
    with _lock, _without_collections():
        if sys.platform == "linux":
            if "torch" not in sys.modules:
                _load_libraries()
            if "triton" not in sys.modules:
                _import_triton()
        # What is missing is said by whoever needs it, in a line.
        for name in ("torch", "timm", "zarr", "sklearn.linear_model"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def import_for_layers() -> None:
    """Import what napari's layers need at first use; a second, in a worker only."""
    with _lock, _without_collections():
        for name in ("pandas", "scipy.ndimage", "skimage.filters", "shapely"):
            importlib.import_module(name)


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _load_libraries() -> None:
    folder = _folder("torch")
    if folder is None:
        return
    with contextlib.suppress(OSError, AttributeError):
        # Through a library object calls release the lock, which `ctypes.CDLL(path)`
        # itself does not.
        load = ctypes.CDLL(None).dlopen
        load.argtypes, load.restype = [ctypes.c_char_p, ctypes.c_int], ctypes.c_void_p
        for name, mode in _LIBRARIES:
            path = folder / "lib" / name
            if path.exists():
                flags = os.RTLD_NOW | (getattr(os, mode) if mode else 0)
                load(os.fsencode(path), flags)


def _import_triton() -> None:
    if _folder("triton") is None or not hasattr(os, "RTLD_DEEPBIND"):
        return
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
    try:
        # Nothing of ours needs it; torch says what is missing where it does.
        with contextlib.suppress(ImportError):
            importlib.import_module("triton")
    finally:
        sys.setdlopenflags(flags)


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent
