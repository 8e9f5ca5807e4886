"""Formats beside TIFF and what OpenSlide knows; colours by profile."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image, ImageCms

from napari_pathfm import slides
from napari_pathfm.errors import SlideError
from napari_pathfm.slides import _picture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture(scope="session")
def pixels(drawn_path: Path) -> NDArray[np.uint8]:
    with slides.open_slide(drawn_path) as slide:
        return slide.read(300, 200, 700, 500)


# ------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_png_picture(tmp_path: Path, pixels: NDArray[np.uint8], mode: str) -> None:
    path = tmp_path / "field.png"
    image = Image.fromarray(pixels).convert(mode)
    image.save(path)
    with slides.open_slide(path, mpp=0.5) as slide:
        assert (slide.backend, slide.vendor) == ("picture", "png")
        assert slide.dimensions == (700, 500)
        assert slide.mpp_source == "user"
        wanted = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(slide.read(0, 0, 700, 500), wanted)
        outside = slide.read(-10, 490, 30, 30)
        np.testing.assert_array_equal(outside[:10, 10:], wanted[490:, :20])
        assert (outside[10:] == 255).all()
        assert (outside[:, :10] == 255).all()
        assert slide.pyramid()[0].shape == (500, 700, 3)
        assert len(slides.tile_grid(slide, px=100, tissue=False)) == 35


def test_a_jpeg_picture_has_no_pixel_size_of_its_own(
    tmp_path: Path, pixels: NDArray[np.uint8]
) -> None:
    path = tmp_path / "field.jpg"
    Image.fromarray(pixels).save(path, quality=95, dpi=(25400, 25400))
    with slides.open_slide(path) as slide:
        assert slide.vendor == "jpeg"
        assert slide.mpp is None
    slide.close()
    with pytest.raises(SlideError, match="closed"):
        slide.read(0, 0, 5, 5)


def test_pictures_that_are_refused(
    tmp_path: Path, pixels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = tmp_path / "grey.png"
    Image.fromarray(pixels[..., 0]).save(grey)
    with pytest.raises(SlideError, match=r"grey\.png .* L colours; .*convert"):
        slides.open_slide(grey)
    cut = tmp_path / "cut.png"
    Image.fromarray(pixels).save(cut)
    cut.write_bytes(cut.read_bytes()[:2000])
    with pytest.raises(SlideError, match=r"cut\.png is a PNG picture that cannot"):
        slides.open_slide(cut)
    monkeypatch.setattr(_picture, "MAX_PICTURE_PIXELS", 1000)
    large = tmp_path / "large.jpg"
    Image.fromarray(pixels).save(large)
    with pytest.raises(SlideError, match=r"large\.jpg .* megapixels; .*tiffsave"):
        slides.open_slide(large)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """A PNG of 60,000 x 60,000 px in a few hundred bytes."""
    import struct
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(SlideError, match=r"bomb\.png"):
        slides.open_slide(path)


# ------------------------------------------------------------------------- OME-Zarr


def write_ome_zarr(
    folder: Path,
    pixels: NDArray[np.uint8],
    *,
    version: str = "0.4",
    axes: str = "tczyx",
    unit: str | None = "micrometer",
    scale: float = 0.25,
    steps: tuple[int, ...] = (1, 2, 4),
) -> Path:
    """Write a pyramid by Zarr alone, as the specification has it."""
    group = zarr.open_group(folder, mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for number, step in enumerate(steps):
        level = pixels[::step, ::step]
        order = [{"y": 0, "x": 1, "c": 2}[a] for a in axes if a in "yxc"]
        sizes_of = dict(zip("yxc", level.shape, strict=True))
        shape = [sizes_of.get(a, 1) for a in axes]
        array = level.transpose(order).reshape(shape)
        chunks = tuple(128 if a in "yx" else 1 for a in axes)
        made = group.create_array(
            str(number), shape=array.shape, chunks=chunks, dtype=array.dtype
        )
        made[:] = array
        sizes = [scale * step if a in "yx" else 1.0 for a in axes]
        datasets.append(
            {
                "path": str(number),
                "coordinateTransformations": [{"type": "scale", "scale": sizes}],
            }
        )
    kinds = {"t": "time", "c": "channel"}
    named = [
        {"name": a, "type": kinds.get(a, "space")}
        | ({"unit": unit} if a in "zyx" and unit else {})
        for a in axes
    ]
    image: dict[str, Any] = {"multiscales": [{"axes": named, "datasets": datasets}]}
    if version == "0.4":
        image["multiscales"][0]["version"] = "0.4"
        group.attrs.update(image)
    else:
        group.attrs["ome"] = image | {"version": version}
    return folder


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["tczyx", "cyx", "yxc"])
def test_ome_zarr(
    tmp_path: Path, pixels: NDArray[np.uint8], version: str, axes: str
) -> None:
    path = write_ome_zarr(tmp_path / "s.ome.zarr", pixels, version=version, axes=axes)
    with slides.open_slide(path) as slide:
        assert (slide.backend, slide.vendor) == ("ome-zarr", "ome-zarr")
        assert [(v.width, v.height) for v in slide.levels] == [
            (700, 500),
            (350, 250),
            (175, 125),
        ]
        assert slide.mpp == pytest.approx(0.25)
        assert slide.mpp_source == "file"
        np.testing.assert_array_equal(slide.read(0, 0, 700, 500), pixels)
        np.testing.assert_array_equal(
            slide.read(20, 40, 60, 50, level=1), pixels[::2, ::2][20:70, 10:70]
        )
        assert (slide.read(-5, -5, 5, 5) == 255).all()
        np.testing.assert_array_equal(np.asarray(slide.pyramid()[0]), pixels)
        grid = slides.tile_grid(slide, px=100, mpp=0.5, tissue=False)
        assert sum(len(i) for i, _ in slide.tiles(grid)) == len(grid)
        first = slide.fingerprint
    with slides.open_slide(shutil.copytree(path, tmp_path / "copy.zarr")) as copy:
        assert copy.fingerprint == first


@pytest.mark.parametrize(
    ("unit", "mpp"),
    [("nanometer", 0.25), ("millimeter", 250_000), (None, None), ("parsec", None)],
)
def test_units_of_ome_zarr(
    tmp_path: Path, pixels: NDArray[np.uint8], unit: str | None, mpp: float | None
) -> None:
    scale = 250.0
    path = write_ome_zarr(tmp_path / "s.zarr", pixels, unit=unit, scale=scale)
    with slides.open_slide(path) as slide:
        # A quarter of a metre a pixel is stated, and not believed.
        wanted = mpp if mpp is None or mpp < 100 else None
        assert slide.mpp == (None if wanted is None else pytest.approx(wanted))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: p.astype(np.uint16), "uint16 pixels"),
        (lambda p: np.concatenate([p, p], axis=2), "6 channels"),
    ],
)
def test_ome_zarr_that_is_no_bright_field_slide(
    tmp_path: Path, pixels: NDArray[np.uint8], change: Any, says: str
) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", change(pixels))
    with pytest.raises(SlideError, match=rf"s\.zarr has {says}.*convert it"):
        slides.open_slide(path)


def test_broken_ome_zarr(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = write_ome_zarr(tmp_path / "s.zarr", pixels, version="0.5", axes="cyx")
    chunk = path / "0" / "c" / "0" / "1" / "1"
    chunk.write_bytes(chunk.read_bytes()[:20])
    with slides.open_slide(path) as slide:
        assert slide.read(0, 0, 100, 100).shape == (100, 100, 3)
        with pytest.raises(SlideError, match=r"s\.zarr is damaged at x=128, y=128"):
            slide.read(130, 130, 10, 10)
    (path / "zarr.json").write_text("{")
    with pytest.raises(SlideError, match=r"s\.zarr is no OME-Zarr"):
        slides.open_slide(path)
    empty = tmp_path / "group.zarr"
    zarr.open_group(empty, mode="w")
    with pytest.raises(SlideError, match="without an OME image"):
        slides.open_slide(empty)


# ------------------------------------------------------------------------- DICOM


def test_a_folder_of_dicom_files(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "slides"
    one = tmp_path / "one"
    one.mkdir()
    shutil.copy(source / "az_cmu1_small_region_1.dcm", one)
    (one / "notes.txt").write_text("not DICOM")
    with (
        slides.open_slide(one) as folder,
        slides.open_slide(one / "az_cmu1_small_region_1.dcm") as file,
    ):
        assert folder.vendor == "dicom"
        assert folder.fingerprint == file.fingerprint
    shutil.copy(source / "camelyon_multiframe_jpeg.dcm", one)
    with pytest.raises(SlideError, match="one is a folder with 2 DICOM slides"):
        slides.open_slide(one)


def test_other_folders(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="is a folder without a DICOM or OME-Zarr"):
        slides.open_slide(tmp_path)


# ------------------------------------------------------------------------- colour


def other_profile() -> bytes:
    """An RGB profile that is not sRGB: red and green are each other's."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    entries = {
        bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)
    }
    red, green = entries[b"rXYZ"] + 4, entries[b"gXYZ"] + 4
    data[red : red + 8], data[green : green + 8] = (
        data[green : green + 8],
        data[red : red + 8],
    )
    return bytes(data)


def by_hand(pixels: NDArray[np.uint8], profile: bytes) -> NDArray[np.uint8]:
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    intent = ImageCms.Intent(ImageCms.getDefaultIntent(own))
    transform = ImageCms.buildTransform(
        own, ImageCms.createProfile("sRGB"), "RGB", "RGB", intent
    )
    image = ImageCms.applyTransform(Image.fromarray(pixels), transform)
    assert image is not None
    return np.asarray(image)


@pytest.mark.parametrize("backend", ["direct", "openslide", "tifffile"])
def test_colours_by_profile(
    tmp_path: Path, pixels: NDArray[np.uint8], backend: Any
) -> None:
    path, profile = tmp_path / "coloured.tif", other_profile()
    tifffile.imwrite(
        path,
        pixels,
        tile=(256, 256),
        photometric="rgb",
        compression="zlib",
        iccprofile=profile,
        metadata=None,
    )
    wanted = by_hand(pixels, profile)
    assert np.abs(wanted.astype(int) - pixels).max() > 20, "the profile does nothing"
    with (
        slides.open_slide(path, mpp=0.5, backend=backend) as plain,
        slides.open_slide(path, mpp=0.5, backend=backend, icc=True) as icc,
    ):
        assert plain.icc_profile is not None
        assert (plain.icc_applied, icc.icc_applied) == (False, True)
        np.testing.assert_array_equal(plain.read(0, 0, 700, 500), pixels)
        np.testing.assert_array_equal(icc.read(0, 0, 700, 500), wanted)
        # Everything that shows pixels shows these.
        level = icc.pyramid()[0]
        np.testing.assert_array_equal(np.asarray(level), wanted)
        assert level.name != plain.pyramid()[0].name
        np.testing.assert_array_equal(icc.thumbnail(700), wanted)
        grid = slides.tile_grid(icc, px=100, tissue=False)
        for indices, tiles in icc.tiles(grid):
            for index, tile in zip(indices, tiles, strict=True):
                x, y = grid.coords[index]
                np.testing.assert_array_equal(tile, wanted[y : y + 100, x : x + 100])


def test_no_profile_means_nothing_to_apply(cmu_slide_path: Path) -> None:
    with slides.open_slide(cmu_slide_path, icc=True) as slide:
        assert slide.icc_profile is None
        assert not slide.icc_applied


def test_a_damaged_profile_is_said_so(
    tmp_path: Path, pixels: NDArray[np.uint8]
) -> None:
    path = tmp_path / "field.png"
    Image.fromarray(pixels).save(path, icc_profile=b"no profile at all" * 20)
    with slides.open_slide(path) as slide:
        assert not slide.icc_applied
    with pytest.raises(SlideError, match=r"field\.png: its colour profile"):
        slides.open_slide(path, icc=True)
