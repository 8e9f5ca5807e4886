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
    from collections.abc import Sequence

    from PIL.PngImagePlugin import PngInfo

    from napari_pathfm.generators import Provenance, SyntheticImage

#: Keyword of the iTXt chunk with the provenance: an object, or a list of them.
KEY = "napari_pathfm"

STATEMENT = (
    "Synthetic image made by a generative model; not tissue of a patient. "
    "Not for diagnosis."
)
_SHEET_STATEMENT = (
    "A real tile and synthetic images made by a generative model from it. "
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
    _save(image.pixels, path, text, STATEMENT, mpp)


def export_contact_sheet(
    images: Sequence[SyntheticImage],
    path: PathLike,
    *,
    captions: Sequence[str] | None = None,
    source: npt.NDArray[np.uint8] | None = None,
    columns: int = 5,
) -> None:
    """Write a real tile and its variants side by side, captioned, as one PNG.

    Parameters
    ----------
    images : sequence of SyntheticImage
    path : path-like
        Ends in ``.png``. An existing file is replaced.
    captions : sequence of str, optional
        One per image, without the source; ``synthetic 1`` and so on where not given.
    source : uint8 (h, w, 3), optional
        The real tile; comes first, captioned ``real tile``.
    columns : int
        Pictures per row at most.

    Raises
    ------
    OutputError
        There are no images, or the file cannot be written; nothing is left behind.
    ValueError
        Not one caption per image.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not images:
        raise OutputError(f"Nothing to export: {path} would show no image.")
    if captions is None:
        captions = [f"synthetic {number + 1}" for number in range(len(images))]
    if len(captions) != len(images):
        raise ValueError(f"{len(captions)} captions for {len(images)} images")
    pictures = [
        (image.pixels, text) for image, text in zip(images, captions, strict=True)
    ]
    if source is not None:
        pictures.insert(0, (source, "real tile"))
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    margin, size = 8, 13
    high = max(pixels.shape[0] for pixels, _ in pictures)
    wide = max(pixels.shape[1] for pixels, _ in pictures)
    font = ImageFont.load_default(size)
    lines = [_wrap(text, font, wide) for _, text in pictures]
    legend = max(map(len, lines)) * (size + 4)
    step = high + legend + 2 * margin
    sheet = Image.new(
        "RGB", (columns * (wide + margin) + margin, rows * step + margin), "white"
    )
    draw = ImageDraw.Draw(sheet)
    for index, (pixels, _) in enumerate(pictures):
        x = margin + index % columns * (wide + margin)
        y = margin + index // columns * step
        sheet.paste(Image.fromarray(np.ascontiguousarray(pixels)), (x, y))
        for number, line in enumerate(lines[index]):
            draw.text((x, y + high + 4 + number * (size + 4)), line, "black", font)
    text = json.dumps([json.loads(image.provenance.to_json()) for image in images])
    _save(np.asarray(sheet), path, text, _SHEET_STATEMENT, None)


def read_provenance(path: PathLike) -> Provenance | list[Provenance]:
    """Read what made a synthetic image from its PNG.

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
        The file is missing, is no PNG, or carries no provenance of ours: one line.
    """
    from PIL import Image, UnidentifiedImageError

    from napari_pathfm.generators import Provenance

    name = Path(path)
    try:
        with Image.open(name, formats=["PNG"]) as image:
            # Reads the whole file: text may also stand behind the pixels.
            text = getattr(image, "text", {}).get(KEY)
    except FileNotFoundError as error:
        raise PathfmError(f"There is no file {name}.") from error
    except UnidentifiedImageError as error:
        raise PathfmError(
            f"{name} is no PNG: only PNG files of this program carry provenance."
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise PathfmError(f"{name} is damaged: {error}.") from error
    if text is None:
        raise PathfmError(
            f"{name} carries no provenance: it was not made by this program, or "
            "another program has saved it since."
        )
    try:
        found: Any = json.loads(text)
        if isinstance(found, list):
            return [Provenance.from_json(json.dumps(entry)) for entry in found]
        return Provenance.from_json(text)
    except (PathfmError, ValueError) as error:
        raise PathfmError(f"{name}: its provenance is damaged: {error}.") from error


def _save(
    pixels: npt.NDArray[np.uint8],
    path: PathLike,
    provenance: str,
    statement: str,
    mpp: float | None,
) -> None:
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
            pnginfo=_chunks(provenance, statement),
            **options,
        )


def _chunks(provenance: str, statement: str) -> PngInfo:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Software", "napari-pathfm")
    info.add_text("Description", statement)
    info.add_itxt(KEY, provenance)
    return info


def _wrap(text: str, font: Any, width: int) -> list[str]:
    """Break a caption into lines that fit under its picture."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
