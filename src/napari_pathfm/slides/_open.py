"""From a path to a slide, or to one line that says why not."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import SlideError
from napari_pathfm.slides._dicom import dicom_in
from napari_pathfm.slides._mpp import check_mpp
from napari_pathfm.slides._omezarr import OmeZarrBackend, is_ome_zarr
from napari_pathfm.slides._openslide import OpenSlideBackend, detect_vendor
from napari_pathfm.slides._picture import PictureBackend, picture_kind
from napari_pathfm.slides._slide import Slide
from napari_pathfm.slides._tiffcheck import tiff_problem

if TYPE_CHECKING:
    from napari_pathfm.slides._levels import Backend, BackendName, Level

_SAMPLE_BYTES = 64 * 1024

# What people drop on a slide viewer by mistake, by first bytes.
_OTHER_FILES = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89HDF", "an HDF5 file"),
)
_TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_slide(
    path: str | os.PathLike[str],
    *,
    mpp: float | None = None,
    backend: BackendName | None = None,
    scaled_decode: bool = True,
    icc: bool = False,
) -> Slide:
    """Open a whole-slide image.

    OpenSlide reads every format that it knows; where the file is a TIFF whose tiles,
    decoded directly, give OpenSlide's own pixels, they are decoded directly, which is
    many times faster. tifffile reads OME-TIFF, other tiled or
    pyramidal TIFF, and TIFF without tiles up to 400 million pixels. Pixels must be
    8-bit RGB or RGBA.

    Parameters
    ----------
    path : str or path-like
        The file. For MRXS and VMS the file beside the folder; for DICOM one of the
        files, or their folder; for OME-Zarr the folder.
    mpp : float, optional
        Micrometres per level-0 pixel, 0.01 to 100; takes precedence over the file's.
    backend : {"direct", "openslide", "tifffile"}, optional
        Read with this one; chosen by format, and by comparing, otherwise.
    scaled_decode : bool
        Let JPEG tiles shrink by 2, 4 or 8 while they are decoded, where pixels that
        much larger are asked for: faster, and within the difference of two ordinary
        ways of resizing. Otherwise they are decoded in full, and resized.
    icc : bool
        Send colours through the file's ICC profile to sRGB, where it has one. Off
        unless asked for, as in QuPath (its ``OpenSlideOptions``): models were trained
        on what scanners wrote.

    Returns
    -------
    Slide
        Also a context manager.

    Raises
    ------
    SlideError
        The file is missing, unreadable, empty, no slide, truncated or of a kind that is
        not supported, or `mpp` is no such number. The message names the file and the
        way out.
    """
    if mpp is not None:
        mpp = check_mpp(mpp)
    file = Path(path)
    reader: Backend
    if file.is_dir():
        if is_ome_zarr(file) and backend in (None, "ome-zarr"):
            reader = OmeZarrBackend(file)
            fingerprint = _folder_fingerprint(file, reader)
            return Slide(file, reader, fingerprint, mpp, icc=icc)
        file = dicom_in(file)
    _check_file(file)
    reader = _choose(file, backend, scaled_decode)
    fingerprint = _fingerprint(file, reader.levels[0])
    return Slide(file, reader, fingerprint, mpp, scaled_decode=scaled_decode, icc=icc)


def reopen(
    path: Path,
    mpp: float | None,
    backend: BackendName,
    fingerprint: str,
    scaled_decode: bool,
    icc: bool,
) -> Slide:
    """Open a slide again in another process, and make sure that it is the same one."""
    slide = open_slide(
        path, mpp=mpp, backend=backend, scaled_decode=scaled_decode, icc=icc
    )
    if slide.fingerprint != fingerprint:
        slide.close()
        raise SlideError(f"{path.name} has changed since it was opened: open it again")
    return slide


def _choose(file: Path, backend: BackendName | None, scaled: bool) -> Backend:
    """Open the file with the backend that shows most of it."""
    from napari_pathfm.slides._direct import read_directly
    from napari_pathfm.slides._tifffile import TifffileBackend

    if backend in (None, "picture"):
        with file.open("rb") as stream:
            kind = picture_kind(stream.read(8))
        if kind is not None:
            return PictureBackend(file, kind)
        if backend == "picture":
            raise SlideError(
                f"{file.name} is no PNG or JPEG picture: leave the choice "
                "of the backend open"
            )
    if backend not in (None, "direct", "openslide", "tifffile"):
        raise SlideError(
            f"no backend {backend!r}: choose direct, openslide or tifffile"
        )
    vendor = detect_vendor(file)
    # NDPI keeps 64-bit offsets in 32-bit fields, which would look truncated.
    problem = None if vendor == "hamamatsu" else tiff_problem(file)
    if problem is not None:
        raise SlideError(f"{file.name} {problem}: copy it again from its source")
    if backend == "tifffile" or (backend is None and vendor is None):
        _check_tiff(file)
        return TifffileBackend(file, scaled=scaled)
    if vendor is None:
        raise SlideError(
            f"{file.name} is no slide that OpenSlide knows: leave the choice of the "
            "backend open, or convert the file to a pyramidal TIFF"
        )
    other: TifffileBackend | None = None
    if vendor == "generic-tiff" and backend is None:
        # OpenSlide takes any tiled TIFF, makes RGB of whatever is in it, and does not
        # see the SubIFDs in which an OME-TIFF keeps its levels.
        other = TifffileBackend(file, scaled=scaled)
        if other.vendor == "ome-tiff":
            return other
    try:
        reference = OpenSlideBackend(file)
    except SlideError:
        if other is None:
            raise
        return other  # OpenSlide has not this compression, say
    if other is not None:
        other.close()
    if backend == "openslide":
        return reference
    direct = read_directly(file, reference, scaled=scaled)
    if not isinstance(direct, str):
        return direct
    if backend == "direct":
        reference.close()
        raise SlideError(
            f"{file.name} cannot be decoded directly ({direct}): leave the choice of "
            "the backend open"
        )
    reference.reading = f"OpenSlide ({direct})"
    return reference


def _check_file(file: Path) -> None:
    """Refuse what is no readable regular file, before any library sees it."""
    try:
        status = file.stat()
        # Opening a pipe would wait for ever.
        if not stat.S_ISREG(status.st_mode):
            raise SlideError(f"{file.name} is no regular file: give a slide file")
        if status.st_size == 0:
            raise SlideError(
                f"{file.name} is empty (0 bytes): copy it again from its source"
            )
        with file.open("rb"):
            pass
    except FileNotFoundError:
        raise SlideError(f"{file} does not exist: check the path") from None
    except PermissionError:
        raise SlideError(
            f"{file.name} may not be read by you: ask for permission, or copy it to a "
            "place where you have it"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            reason = "it is a link that leads back to itself"
        raise SlideError(f"{file} cannot be read ({reason}): check the path") from None


def _check_tiff(file: Path) -> None:
    """Say of a file that is no TIFF what it is."""
    with file.open("rb") as stream:
        head = stream.read(8)
    if head[:4] in _TIFF_HEADS:
        return
    kind = next((kind for start, kind in _OTHER_FILES if head.startswith(start)), None)
    found = f"is {kind}, not a slide" if kind else "is no slide that we can read"
    raise SlideError(
        f"{file.name} {found}: give a whole-slide image (SVS, NDPI, MRXS, DICOM, ...) "
        "or a tiled TIFF"
    )


def _folder_fingerprint(folder: Path, reader: OmeZarrBackend) -> str:
    """Tell OME-Zarr folders apart by what they say of themselves and their overview."""
    digest = hashlib.sha256()
    level = reader.levels[-1]
    digest.update(f"{[(v.width, v.height) for v in reader.levels]}\n".encode())
    for name in ("zarr.json", ".zgroup", ".zattrs"):
        if (folder / name).is_file():
            digest.update((folder / name).read_bytes())
    width, height = min(level.width, 2048), min(level.height, 2048)
    digest.update(reader.read(len(reader.levels) - 1, 0, 0, width, height).tobytes())
    return digest.hexdigest()[:32]


def _fingerprint(file: Path, level: Level) -> str:
    """Tell slides apart by size and both ends: quick, and the same after a copy."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        digest.update(f"{size} {level.width} {level.height}\n".encode())
        stream.seek(0)
        digest.update(stream.read(_SAMPLE_BYTES))
        stream.seek(max(0, size - _SAMPLE_BYTES))
        digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]
