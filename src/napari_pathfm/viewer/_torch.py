"""Bring PyTorch into napari's process: without a crash, and without holding the window.

Two things go wrong when it is simply imported in a worker thread of a window program.

Mesa, which draws the canvas on many Linux machines, brings LLVM and makes its symbols
visible to all. Triton, which torchvision's import pulls in, brings another LLVM; its calls
then land in Mesa's and the process dies. Binding Triton to its own symbols first avoids
that.

And Python holds its lock while the system loads a library: 1 s and more for PyTorch's, in
which no click is heard. Called through ctypes the same loading holds no lock; the import
that follows finds the libraries there.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
import threading
from pathlib import Path

_lock = threading.Lock()

# In this order, and in these modes, PyTorch itself loads them.
_LIBRARIES = (("libtorch_global_deps.so", "RTLD_GLOBAL"), ("libtorch_python.so", None))


def import_torch() -> None:
    """Import PyTorch, once, in whatever thread this is called; nothing off Linux."""
    if sys.platform != "linux":
        return
    with _lock:
        if "torch" not in sys.modules:
            _load_libraries()
        if "triton" not in sys.modules:
            _import_triton()


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
            import triton  # noqa: F401
    finally:
        sys.setdlopenflags(flags)


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent
