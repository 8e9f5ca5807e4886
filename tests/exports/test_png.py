"""Synthetic images as PNG: the same pixels, and never without provenance."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.exports import (
    export_animation,
    export_contact_sheet,
    export_png,
    read_provenance,
    read_synthetic,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _chunks(path: Path) -> dict[bytes, list[bytes]]:
    """Read the chunks of a PNG without Pillow, checksums verified."""
    raw = path.read_bytes()
    assert raw[:8] == b"\x89PNG\r\n\x1a\n"
    found: dict[bytes, list[bytes]] = {}
    at = 8
    while at < len(raw):
        (length,) = struct.unpack(">I", raw[at : at + 4])
        kind, body = raw[at + 4 : at + 8], raw[at + 8 : at + 8 + length]
        (crc,) = struct.unpack(">I", raw[at + 8 + length : at + 12 + length])
        assert crc == zlib.crc32(kind + body)
        found.setdefault(kind, []).append(body)
        at += 12 + length
    return found


def test_pixels_and_provenance_survive(
    tmp_path: Path, synthetic: Callable[..., Any]
) -> None:
    image = synthetic(7, side=224, notice="größer ≥ 0.5", box=(1.5, 2, 3, 4))
    path = tmp_path / "tile.png"
    export_png(image, path)
    with Image.open(path) as file:
        np.testing.assert_array_equal(np.asarray(file), image.pixels)
    assert read_provenance(path) == image.provenance


def test_chunks_are_standard(tmp_path: Path, synthetic: Callable[..., Any]) -> None:
    path = tmp_path / "tile.png"
    export_png(synthetic(notice="ü"), path, mpp=0.5)
    chunks = _chunks(path)
    (text,) = chunks[b"iTXt"]
    keyword, rest = text.split(b"\0", 1)
    assert keyword == b"napari_pathfm"
    # Uncompressed, no language, no translated keyword: then UTF-8.
    assert rest[:4] == b"\0\0\0\0"
    assert json.loads(rest[4:].decode())["synthetic"] is True
    plain = dict(body.split(b"\0", 1) for body in chunks[b"tEXt"])
    assert plain[b"Software"] == b"napari-pathfm"
    assert b"Synthetic" in plain[b"Description"]
    assert struct.unpack(">IIB", chunks[b"pHYs"][0]) == (2_000_000, 2_000_000, 1)


def test_resolution_only_where_known(
    tmp_path: Path, synthetic: Callable[..., Any]
) -> None:
    export_png(synthetic(mpp=0), tmp_path / "unknown.png")
    assert b"pHYs" not in _chunks(tmp_path / "unknown.png")
    export_png(synthetic(mpp=0.25), tmp_path / "known.png")
    (body,) = _chunks(tmp_path / "known.png")[b"pHYs"]
    assert struct.unpack(">IIB", body) == (4_000_000, 4_000_000, 1)


def test_contact_sheet(tmp_path: Path, synthetic: Callable[..., Any]) -> None:
    images = [synthetic(seed, side=64) for seed in range(4)]
    source = np.full((64, 64, 3), 200, np.uint8)
    path = tmp_path / "sheet.png"
    export_contact_sheet(
        images,
        path,
        captions=["one", "two", "three", "four words that wrap"],
        source=source,
    )
    with Image.open(path) as file:
        sheet = np.asarray(file.convert("RGB"))
    # Each picture stands in it pixel for pixel, in order, the real tile first.
    columns = []
    for pixels in [source, *(image.pixels for image in images)]:
        windows = np.lib.stride_tricks.sliding_window_view(sheet[8:72], 64, axis=1)
        equal = (windows == pixels[:, None].transpose(0, 1, 3, 2)).all(axis=(0, 2, 3))
        (at,) = np.flatnonzero(equal)
        columns.append(int(at))
    assert columns == sorted(columns)
    captions = sheet[72:]
    assert (captions < 128).any(), "no caption was drawn"
    assert read_provenance(path) == [image.provenance for image in images]


def test_contact_sheet_wraps_into_rows(
    tmp_path: Path, synthetic: Callable[..., Any]
) -> None:
    path = tmp_path / "sheet.png"
    export_contact_sheet([synthetic(seed) for seed in range(7)], path, columns=3)
    with Image.open(path) as file:
        assert file.width == 3 * (32 + 8) + 8
        assert file.height > 3 * 32
    with pytest.raises(ValueError, match="captions"):
        export_contact_sheet([synthetic()], path, captions=[])


def test_a_walk_ends_with_the_real_tile_there(
    tmp_path: Path, synthetic: Callable[..., Any]
) -> None:
    path = tmp_path / "strip.png"
    target = np.full((32, 32, 3), 90, np.uint8)
    export_contact_sheet([synthetic()] * 3, path, target=target, columns=5)
    with Image.open(path) as file:
        sheet = np.asarray(file.convert("RGB"))
    assert sheet.shape[1] == 4 * (32 + 8) + 8
    np.testing.assert_array_equal(sheet[8:40, 8 + 3 * 40 :][:, :32], target)


def test_animation_is_lossless_and_says_what_made_it(
    tmp_path: Path, synthetic: Callable[..., Any]
) -> None:
    images = [synthetic(seed) for seed in range(4)]
    path = tmp_path / "walk.png"
    export_animation(images, path, seconds=0.1)
    with Image.open(path) as file:
        assert file.n_frames == 6
        for number, image in enumerate([*images, images[2], images[1]]):
            file.seek(number)
            np.testing.assert_array_equal(np.asarray(file.convert("RGB")), image.pixels)
    assert read_provenance(path) == [image.provenance for image in images]
    with pytest.raises(OutputError, match="at least two frames"):
        export_animation(images[:1], tmp_path / "still.png")
    with pytest.raises(OutputError, match="of one size"):
        export_animation([synthetic(), synthetic(side=64)], tmp_path / "still.png")
    assert not (tmp_path / "still.png").exists()


def test_an_image_comes_back_with_its_provenance(
    tmp_path: Path, synthetic: Callable[..., Any]
) -> None:
    image = synthetic(3)
    export_png(image, tmp_path / "tile.png")
    again = read_synthetic(tmp_path / "tile.png")
    np.testing.assert_array_equal(again.pixels, image.pixels)
    assert again.provenance == image.provenance
    export_contact_sheet([image, image], tmp_path / "sheet.png")
    with pytest.raises(PathfmError, match="2 images at once"):
        read_synthetic(tmp_path / "sheet.png")


def test_files_without_provenance(tmp_path: Path) -> None:
    path = tmp_path / "plain.png"
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    with pytest.raises(PathfmError, match="carries no provenance"):
        read_provenance(path)
    with pytest.raises(PathfmError, match="There is no file"):
        read_provenance(tmp_path / "absent.png")
    other = tmp_path / "other.png"
    other.write_bytes(b"GIF89a")
    with pytest.raises(PathfmError, match="is no PNG"):
        read_provenance(other)


def test_damaged_files(tmp_path: Path, synthetic: Callable[..., Any]) -> None:
    from PIL.PngImagePlugin import PngInfo

    path = tmp_path / "tile.png"
    export_png(synthetic(side=64), path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(PathfmError, match="is damaged"):
        read_provenance(path)
    for text in ("{", "3", "{}", "[3]", '{"synthetic": '):
        info = PngInfo()
        info.add_itxt("napari_pathfm", text)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path, pnginfo=info)
        with pytest.raises(PathfmError, match="provenance is damaged") as caught:
            read_provenance(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent/a.png", "a.jpg", "a.tif"])
def test_unwritable(
    tmp_path: Path,
    name: str,
    synthetic: Callable[..., Any],
    leaves_nothing: Callable[[], None],
) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        export_png(synthetic(), tmp_path / name)
    with pytest.raises(OutputError, match="cannot be written"):
        export_contact_sheet([synthetic()], tmp_path / name)
    with pytest.raises(OutputError, match="Nothing to export"):
        export_contact_sheet([], tmp_path / "a.png")
    leaves_nothing()
