"""Synthetic images as PNG that say what they are and what made them.

Lossless only: JPEG shifts both what models see and what metrics measure.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.exports._files import PathLike, whole_file

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

    from napari_pathfm.generators import Provenance, SyntheticImage

#: Keyword of the iTXt chunk with the provenance: an object, or a list of them.
KEY = "napari_pathfm"

STATEMENT = (
    "Synthetic image made by a generative model; not tissue of a patient. "
    "Not for diagnosis."
)


def export_png(
    image: SyntheticImage, path: PathLike, *, mpp: float | None = None
) -> None:
    """Write a synthetic image as PNG, with its provenance inside.

    The provenance is JSON in an iTXt chunk of the keyword `KEY`; ``Software`` and
    ``Description`` say for every viewer that the image is synthetic; the pHYs chunk
    holds the pixel size.

    Parameters
    ----------
    image : SyntheticImage
    path : path-like
        Ends in ``.png``. An existing file is replaced.
    mpp : float, optional
        Micrometres per pixel of the image; from its provenance where not given.

    Raises
    ------
    OutputError
        The image is empty, or the file cannot be written; nothing is left behind.
    """
    text = image.provenance.to_json()
    if mpp is None:
        mpp = image.provenance.mpp
    save_png(image.pixels, path, text, STATEMENT, mpp)


def read_provenance(path: PathLike) -> Provenance | list[Provenance]:
    """Read what made a synthetic image from its PNG or OME-TIFF.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Provenance, or list of Provenance
        A list, in the order of its images, where the file is a contact sheet.

    Raises
    ------
    PathfmError
        The file is missing, is neither, or carries no provenance of ours: one line.
    """
    from napari_pathfm.generators import Provenance

    text, _ = _read(path, decode=False)
    try:
        found: Any = json.loads(text)
        if isinstance(found, list):
            return [Provenance.from_json(json.dumps(entry)) for entry in found]
        return Provenance.from_json(text)
    except (PathfmError, ValueError) as error:
        raise PathfmError(
            f"{Path(path)}: its provenance is damaged: {error}."
        ) from error


def read_synthetic(path: PathLike) -> SyntheticImage:
    """Read a synthetic image from its PNG or OME-TIFF, with what made it.

    Raises
    ------
    PathfmError
        As `read_provenance`, and where the file shows several images at once.
    """
    from napari_pathfm.generators import Provenance, SyntheticImage

    found = read_provenance(path)
    if not isinstance(found, Provenance):
        raise PathfmError(
            f"{Path(path)} shows {len(found)} images at once: name the file of one"
        )
    return SyntheticImage(_read(path)[1], found)


def _read(path: PathLike, *, decode: bool = True) -> tuple[str, npt.NDArray[np.uint8]]:
    """Give the provenance's text, and the pixels; of a TIFF only where wanted."""
    from PIL import Image, UnidentifiedImageError

    name = Path(path)
    # What knows OME knows this module's statement.
    from napari_pathfm.exports._pixels import PIXEL_SUFFIXES, read_pixels

    if name.name.lower().endswith(PIXEL_SUFFIXES):
        placed = read_pixels(name, decode=decode)
        if placed.kind != "synthetic":
            raise PathfmError(f"{name} holds heatmaps and no synthetic tissue.")
        return json.dumps(placed.provenance[0]), placed.pixels
    try:
        with Image.open(name, formats=["PNG"]) as image:
            pixels = np.asarray(image.convert("RGB"))
            # After the pixels: text may also stand behind them.
            text = getattr(image, "text", {}).get(KEY)
    except FileNotFoundError as error:
        raise PathfmError(f"There is no file {name}.") from error
    except UnidentifiedImageError as error:
        raise PathfmError(
            f"{name} is no PNG: only PNG and OME-TIFF files of this program carry "
            "provenance."
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise PathfmError(f"{name} is damaged: {error}.") from error
    if text is None:
        raise PathfmError(
            f"{name} carries no provenance: it was not made by this program, or "
            "another program has saved it since."
        )
    return text, pixels


def save_png(
    pixels: npt.NDArray[np.uint8],
    path: PathLike,
    provenance: str,
    statement: str,
    mpp: float | None,
) -> None:
    """Write pixels with their provenance as JSON and a statement for every viewer."""
    from PIL import Image

    if pixels.dtype != np.uint8 or pixels.ndim != 3 or not pixels.size:
        raise OutputError(
            f"Nothing to export: {path} would hold {pixels.dtype} {pixels.shape}, "
            "which is no picture."
        )
    # PNG counts pixels per metre, Pillow asks for them per inch.
    options = {"dpi": (25400 / mpp, 25400 / mpp)} if mpp else {}
    with whole_file(path, ".png") as neighbour:
        Image.fromarray(np.ascontiguousarray(pixels)).save(
            neighbour,
            format="PNG",
            pnginfo=text_chunks(provenance, statement),
            **options,
        )


def text_chunks(provenance: str, statement: str) -> PngInfo:
    """Make the text chunks of a PNG that is not tissue."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Software", "napari-pathfm")
    info.add_text("Description", statement)
    info.add_itxt(KEY, provenance)
    return info
