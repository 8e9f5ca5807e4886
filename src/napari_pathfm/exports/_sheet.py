"""Several synthetic images in one file: side by side, or one after the other.

Lossless only, and with the provenance of each inside, as a single one has.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_pathfm.errors import OutputError
from napari_pathfm.exports._files import PathLike, whole_file
from napari_pathfm.exports._png import STATEMENT, save_png, text_chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_pathfm.generators import SyntheticImage

_SHEET_STATEMENT = (
    "A real tile and synthetic images made by a generative model from it. "
    "Not for diagnosis."
)


def export_contact_sheet(
    images: Sequence[SyntheticImage],
    path: PathLike,
    *,
    captions: Sequence[str] | None = None,
    source: npt.NDArray[np.uint8] | None = None,
    target: npt.NDArray[np.uint8] | None = None,
    columns: int = 5,
) -> None:
    """Write real tiles and synthetic ones side by side, captioned, as one PNG.

    Parameters
    ----------
    images : sequence of SyntheticImage
    path : path-like
        Ends in ``.png``. An existing file is replaced.
    captions : sequence of str, optional
        One per image, without the source; ``synthetic 1`` and so on where not given.
    source : uint8 (h, w, 3), optional
        The real tile; comes first, captioned ``real tile``.
    target : uint8 (h, w, 3), optional
        Where a walk ends; comes last, captioned likewise.
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
    if target is not None:
        pictures.append((target, "real tile"))
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
    save_png(np.asarray(sheet), path, text, _SHEET_STATEMENT, None)


def export_comparison(
    real: npt.NDArray[np.uint8],
    image: SyntheticImage,
    apart: npt.NDArray[np.float32],
    path: PathLike,
) -> None:
    """Write real, synthetic and how much they differ side by side, as one PNG.

    Parameters
    ----------
    real : ndarray
        uint8 ``(h, w, 3)``.
    image : SyntheticImage
        Of the same size.
    apart : ndarray
        float32 ``(h, w)``: the difference, 0 to 255; black is none, white the most.
    path : path-like
        Ends in ``.png``. An existing file is replaced.

    Raises
    ------
    OutputError
        The file cannot be written; nothing is left behind.
    """
    most = max(1.0, float(apart.max()))
    grey = np.rint(apart * (255 / most)).astype(np.uint8)
    shown = replace(image, pixels=np.repeat(grey[..., None], 3, -1))
    export_contact_sheet(
        [image, shown],
        path,
        captions=["synthetic", f"difference, white is {most:.0f} of 255"],
        source=real,
        columns=3,
    )


def export_animation(
    images: Sequence[SyntheticImage],
    path: PathLike,
    *,
    seconds: float = 0.25,
    there_and_back: bool = True,
) -> None:
    """Write frames as an animated PNG: lossless, with the provenance of each inside.

    Browsers play it; programs that know plain PNG show the first frame.

    Parameters
    ----------
    images : sequence of SyntheticImage
        At least two, of one size.
    path : path-like
        Ends in ``.png``. An existing file is replaced.
    seconds : float
        Time that a frame stays; the first and the last stay four times as long.
    there_and_back : bool
        Play the frames backwards too, so that the loop has no jump.

    Raises
    ------
    OutputError
        There is no motion to show, or the file cannot be written; nothing is left
        behind.
    """
    from PIL import Image

    if len(images) < 2 or len({image.pixels.shape for image in images}) > 1:
        raise OutputError(f"{path} needs at least two frames of one size.")
    frames = [Image.fromarray(np.ascontiguousarray(i.pixels)) for i in images]
    times = [seconds * 4, *[seconds] * (len(frames) - 2), seconds * 4]
    if there_and_back:
        frames, times = frames + frames[-2:0:-1], times + times[-2:0:-1]
    text = json.dumps([image.provenance.to_dict() for image in images])
    with whole_file(path, ".png") as neighbour:
        frames[0].save(
            neighbour,
            format="PNG",
            save_all=True,
            append_images=frames[1:],
            duration=[round(1000 * t) for t in times],
            loop=0,
            pnginfo=text_chunks(text, STATEMENT),
        )


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
