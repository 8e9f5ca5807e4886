"""From a path to a slide, or to one line that says why not."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import SlideError
from napari_pathfm.slides._dicom import dicom_in
from napari_pathfm.slides._fingerprint import fingerprint, folder_fingerprint
from napari_pathfm.slides._hamamatsu import key_file_problem
from napari_pathfm.slides._mirax import mirax_problem
from napari_pathfm.slides._mpp import check_mpp
from napari_pathfm.slides._omezarr import OmeZarrBackend, is_ome_zarr
from napari_pathfm.slides._openslide import OpenSlideBackend, detect_vendor
from napari_pathfm.slides._picture import PictureBackend, picture_kind
from napari_pathfm.slides._slide import Slide
from napari_pathfm.slides._tiffcheck import tiff_problem

if TYPE_CHECKING:
    import os

    from napari_pathfm.slides._levels import Backend, BackendName

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
# What is amiss with a file that is called a slide and that OpenSlide does not take for
# one. An MRXS file is itself a JPEG of all of the glass, and must not be shown as one.
_INCOMPLETE = {
    ".mrxs": (
        "is only one part of its slide, and the folder {stem} with Slidedat.ini is not "
        "beside it: copy both, and leave their names as they are"
    ),
    ".ndpi": "is truncated, or no NDPI slide: copy it again from its source",
}

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
            own = folder_fingerprint(file, reader)
            return Slide(file, reader, own, mpp, icc=icc)
        file = dicom_in(file)
    _check_file(file)
    reader = _choose(file, backend, scaled_decode)
    return Slide(
        file,
        reader,
        fingerprint(file, reader),
        mpp,
        scaled_decode=scaled_decode,
        icc=icc,
    )


def reopen(
    path: Path,
    mpp: float | None,
    backend: BackendName,
    wanted: str,
    scaled_decode: bool,
    icc: bool,
) -> Slide:
    """Open a slide again in another process, and make sure that it is the same one."""
    slide = open_slide(
        path, mpp=mpp, backend=backend, scaled_decode=scaled_decode, icc=icc
    )
    if slide.fingerprint != wanted:
        slide.close()
        raise SlideError(f"{path.name} has changed since it was opened: open it again")
    return slide


def _choose(file: Path, backend: BackendName | None, scaled: bool) -> Backend:
    """Open the file with the backend that shows most of it."""
    from napari_pathfm.slides._direct import read_directly
    from napari_pathfm.slides._tifffile import TifffileBackend

    vendor = detect_vendor(file)
    suffix = file.suffix.lower()
    if vendor is None and suffix in _INCOMPLETE:
        raise SlideError(f"{file.name} {_INCOMPLETE[suffix].format(stem=file.stem)}")
    if vendor is None and backend in (None, "picture"):
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
    # NDPI keeps 64-bit offsets in 32-bit fields, which would look truncated.
    checks = {"hamamatsu": key_file_problem, "mirax": mirax_problem}
    problem = checks.get(vendor or "", tiff_problem)(file)
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
