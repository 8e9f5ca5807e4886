"""Similarity patch by patch: in its place, the same from any view, within bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from colours import PatchColours

from napari_pathfm.embeddings import embed_slide
from napari_pathfm.errors import Cancelled, OutsideSlideError, StoreError
from napari_pathfm.exports import read_geojson
from napari_pathfm.heatmaps import (
    FineSimilarity,
    PatchCache,
    PatchVectors,
    _fine,
    fine_similarity,
    patches_under,
)
from napari_pathfm.slides import open_slide, tile_grid

REGIONS = Path(__file__).parent.parent / "data" / "cmu_regions.geojson"
PINK, BLUE, GLASS = (220, 150, 190), (60, 40, 140), (242, 242, 242)
# In pixels of 0.5 um: tissue, and where its colour changes. Both are edges of patches
# of 14, neither of tiles of 224.
TISSUE = (154, 112, 1050, 812)
CHANGE = 518
ON_BLUE, ON_PINK = (800, 400), (300, 400)


def drawn(path: Path, zoom: int = 1) -> Path:
    """Pink tissue, blue from a column on, glass around."""
    pixels = np.full((924, 1190, 3), GLASS, np.uint8)
    left, top, right, bottom = TISSUE
    pixels[top:bottom, left:right] = PINK
    pixels[top:bottom, CHANGE:right] = BLUE
    pixels = pixels.repeat(zoom, 0).repeat(zoom, 1)
    per_cm = 1e4 / 0.5 * zoom
    options = {"tile": (256, 256), "photometric": "rgb", "metadata": None}
    options |= {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels, **options)
    return path


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    with open_slide(drawn(tmp_path_factory.mktemp("s") / "halves.tif")) as slide:
        yield slide


@pytest.fixture
def colours():
    return PatchColours()


@pytest.fixture
def patches(halves, colours):
    return PatchVectors(halves, colours)


def whole(slide):
    return (0, 0, *slide.dimensions)


@pytest.mark.parametrize("zoom", [1, 2])
def test_a_change_of_colour_is_where_it_is_to_the_pixel(tmp_path, colours, zoom):
    with open_slide(drawn(tmp_path / "zoomed.tif", zoom)) as slide:
        patches = PatchVectors(slide, colours)
        like = [tuple(zoom * v for v in ON_BLUE)]
        heatmap = fine_similarity(patches, whole(slide), like)
        assert heatmap.stride == 14 * zoom
        assert heatmap.mpp == pytest.approx(0.5 / zoom)
        assert heatmap.values.dtype == np.float32
        x, y = np.moveaxis(heatmap.centres(), -1, 0) / zoom
        left, top, right, bottom = TISSUE
        rows = (y > top + 30) & (y < bottom - 30)
        blue = rows & (x > CHANGE) & (x < right - 30)
        pink = rows & (x < CHANGE) & (x > left + 30)
        assert blue.sum() > 500
        assert pink.sum() > 500
        np.testing.assert_allclose(heatmap.values[blue], 1, atol=1e-3)
        assert (heatmap.values[pink] < 0.5).all()
        # A pixel to either side of the change.
        assert heatmap.at((CHANGE + 1 / zoom) * zoom, 400 * zoom) > 0.99
        assert heatmap.at((CHANGE - 1 / zoom) * zoom, 400 * zoom) < 0.5
        # The mask is blurred by 6 um: glass beyond that has no value.
        far = (x < left - 30) | (x > right + 30) | (y < top - 30) | (y > bottom + 30)
        assert np.isnan(heatmap.values[far]).all()


def test_the_layer_puts_the_first_cell_where_it_belongs(patches):
    heatmap = fine_similarity(patches, (300, 200, 250, 100), [ON_BLUE])
    assert heatmap.origin == (294, 196)
    assert heatmap.values.shape == (8, 19)
    assert heatmap.name == "similarity, 7 um"
    _, keywords, _ = heatmap.to_layer()
    np.testing.assert_allclose(keywords["scale"], (7, 7))
    np.testing.assert_allclose(
        keywords["translate"], ((196 + 6.5) / 2, (294 + 6.5) / 2)
    )
    assert heatmap.provenance["kind"] == "patch similarity"
    assert heatmap.provenance["like"] == [list(map(float, ON_BLUE))]


def test_a_patch_is_the_same_whichever_view_asks(slide, encoder):
    """By the real encoder: in other batches, in another order."""
    grid = tile_grid(slide)
    x, y = map(float, grid.coords[len(grid) // 2])
    like = [(x + 112, y + 112)]
    boxes = [(x, y, 448, 224), (x, y, 224, 224), (x + 224, y, 224, 224)]
    both, left, right = (
        fine_similarity(PatchVectors(slide, encoder), box, like) for box in boxes
    )
    joined = np.concatenate([left.values, right.values], axis=1)
    np.testing.assert_allclose(both.values, joined, atol=2e-3)
    # Another lattice would have other patches: this view begins between two of them.
    shifted = fine_similarity(
        PatchVectors(slide, encoder), (x + 100, y + 50, 99, 99), like
    )
    for place in ((x + 105, y + 60), (x + 190, y + 140)):
        assert shifted.at(*place) == pytest.approx(both.at(*place), abs=2e-3)


def test_what_was_encoded_is_not_encoded_again(patches, colours):
    box = (450, 230, 220, 210)
    first = fine_similarity(patches, box, [ON_BLUE])
    seen = colours.tiles
    assert 0 < seen < len(patches.grid)
    second = fine_similarity(patches, box, [(700, 420)])
    assert colours.tiles == seen
    np.testing.assert_allclose(first.values, second.values, atol=1e-3)


def test_memory_is_bounded_and_the_oldest_goes(halves, colours):
    tile = 16 * 16 * colours.spec.dim * 2
    cache = PatchCache(3 * tile + 100)
    patches = PatchVectors(halves, colours, cache=cache)
    rows = list(range(5))
    for _ in patches.load(rows, batch=1):
        assert cache.nbytes <= 3 * tile
    assert [patches.known(row) is not None for row in rows] == [False] * 2 + [True] * 3
    patches.known(2)
    list(patches.load([0]))
    assert [patches.known(row) is not None for row in (0, 2, 3)] == [True, True, False]
    # More than fits is compared all the same.
    assert np.isfinite(fine_similarity(patches, whole(halves), [ON_BLUE]).values).any()
    other = PatchVectors(halves, colours, cache=cache)
    list(other.load([0]))
    patches.close()
    assert len(cache) == 1
    other.close()
    assert (len(cache), cache.nbytes) == (0, 0)
    cache = PatchCache(tile - 1)
    list(PatchVectors(halves, colours, cache=cache).load([0]))
    assert len(cache) == 0


def test_kept_patch_tokens_are_taken_in_place_of_encoding(halves, tmp_path):
    store = embed_slide(halves, PatchColours(), tmp_path / "p.zarr", patches=True)
    box = (448, 224, 448, 448)
    encoder = PatchColours()
    kept = fine_similarity(PatchVectors(halves, encoder, store=store), box, [ON_BLUE])
    assert encoder.tiles == 0
    made = fine_similarity(PatchVectors(halves, encoder), box, [ON_BLUE])
    assert encoder.tiles > 0
    np.testing.assert_allclose(kept.values, made.values, atol=2e-3)
    # Of other weights, or none kept at all: encoded.
    for other, told in (
        (PatchColours(revision="test:others"), store),
        (PatchColours(), embed_slide(halves, PatchColours(), tmp_path / "n.zarr")),
    ):
        fine_similarity(PatchVectors(halves, other, store=told), box, [ON_BLUE])
        assert other.tiles > 0


def test_tiles_of_an_overlapping_store_are_found_by_place(halves, tmp_path):
    grid = tile_grid(halves, stride=112)
    path = tmp_path / "o.zarr"
    store = embed_slide(halves, PatchColours(), path, grid=grid, patches=True)
    encoder = PatchColours()
    patches = PatchVectors(halves, encoder, store=store)
    fine_similarity(patches, (448, 224, 448, 448), [ON_BLUE])
    assert encoder.tiles == 0


def test_a_run_that_is_stopped_keeps_what_it_has(patches, colours):
    asked = iter([False] * 4 + [True] * 99)
    with pytest.raises(Cancelled):
        for _ in patches.load(range(9), batch=1, cancelled=lambda: next(asked)):
            pass
    assert 1 <= colours.tiles < 9
    known = [row for row in range(9) if patches.known(row) is not None]
    assert known == list(range(len(known)))
    assert known


def test_a_click_means_nine_patches_and_a_region_what_it_holds(patches):
    (mask,) = patches_under(patches, ON_BLUE).values()
    assert mask.sum() == 9
    # At the corner of four tiles as well.
    masks = patches_under(patches, (675, 445))
    assert len(masks) == 4
    assert sum(mask.sum() for mask in masks.values()) == 9
    region = shapely.box(448, 224, 448 + 10 * 14, 224 + 4 * 14)
    (mask,) = patches_under(patches, region).values()
    assert mask.sum() == 40
    assert mask[:4, :10].all()
    small = shapely.box(800, 400, 802, 402)
    (mask,) = patches_under(patches, small).values()
    assert mask.sum() == 9
    both = patches_under(patches, shapely.MultiPoint([ON_BLUE, ON_PINK]))
    assert sum(mask.sum() for mask in both.values()) == 18


def test_prompts_and_their_opposites(patches, halves):
    box = whole(halves)
    plain = fine_similarity(patches, box, [ON_BLUE])
    against = fine_similarity(patches, box, [ON_BLUE], [ON_PINK])
    pink = fine_similarity(patches, box, [ON_PINK])
    np.testing.assert_allclose(
        against.values, plain.values - pink.values, atol=2e-3, equal_nan=True
    )
    either = fine_similarity(patches, box, [ON_BLUE, ON_PINK], reduce="max")
    for place in (ON_BLUE, ON_PINK):
        assert either.at(*place) == pytest.approx(1, abs=2e-3)
    low, high = plain.limits
    assert -1 <= low < high <= 1.001


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ((-10, 0, 100, 100), "leaves halves.tif"),
        ((1100, 800, 500, 500), "1190 x 924 level-0 pixels"),
        ((10, 10, 0, 50), "is empty"),
        ((0, 0, 60, 60), "no tissue in the box"),
    ],
)
def test_boxes_that_make_no_sense_are_refused_before_any_work(
    patches, colours, box, says
):
    with pytest.raises(OutsideSlideError, match=says):
        fine_similarity(patches, box, [ON_BLUE])
    assert colours.tiles == 0


def test_a_box_of_too_many_tiles_is_refused(patches, halves, colours, monkeypatch):
    monkeypatch.setattr(_fine, "MOST_FINE_TILES", 3)
    with pytest.raises(OutsideSlideError, match=r"up to 3 .* choose a smaller one"):
        fine_similarity(patches, whole(halves), [ON_BLUE])
    assert colours.tiles == 0


def test_places_without_tissue_are_refused(patches):
    # Glass beside tissue in one tile, and a tile of nothing but glass.
    for place in ((5, 5), (1180, 400)):
        with pytest.raises(OutsideSlideError, match="no tissue tile at"):
            FineSimilarity(patches, [place])
    with pytest.raises(StoreError, match="at least one point"):
        FineSimilarity(patches, [])


def test_tiles_that_cannot_be_read_are_left_out(patches, halves, monkeypatch):
    from napari_pathfm.errors import SlideError

    broken = patches.grid.index_at(*ON_PINK)
    tiles = halves.tiles

    def some(grid, *, batch, indices, on_error):
        good = [row for row in indices if row != broken]
        if len(good) < len(indices):
            on_error(broken, *grid.coords[broken], SlideError("damaged"))
        return tiles(grid, batch=batch, indices=good)

    monkeypatch.setattr(type(halves), "tiles", lambda self, grid, **k: some(grid, **k))
    heatmap = fine_similarity(patches, whole(halves), [ON_BLUE])
    assert patches.failed == {broken}
    assert np.isnan(heatmap.at(*ON_PINK))
    assert heatmap.at(*ON_BLUE) == pytest.approx(1, abs=1e-3)
    with pytest.raises(StoreError, match="cannot be read"):
        fine_similarity(patches, whole(halves), [ON_PINK])


def test_patches_part_epidermis_from_dermis(cmu_slide_path, encoder):
    """One click into epidermis; the outlines were drawn by hand for other tests."""
    shapes = {
        name: shapely.union_all(
            [r.geometry for r in read_geojson(REGIONS) if r.classification == name]
        )
        for name in ("Epidermis", "Dermis")
    }
    with open_slide(cmu_slide_path) as slide:
        patches = PatchVectors(slide, encoder)
        heatmap = fine_similarity(patches, whole(slide), [(1200, 1900)])
    x, y = np.moveaxis(heatmap.centres(), -1, 0)
    known = ~np.isnan(heatmap.values)
    inside = {n: shapely.contains_xy(s, x, y) & known for n, s in shapes.items()}
    like, other = (heatmap.values[inside[n]] for n in ("Epidermis", "Dermis"))
    assert min(len(like), len(other)) > 1000
    ranks = np.concatenate([like, other]).argsort().argsort()[: len(like)]
    auc = (ranks.mean() - (len(like) - 1) / 2) / len(other)
    print(f"AUC {auc:.3f}, means {like.mean():.3f} and {other.mean():.3f}")
    assert auc > 0.95
    assert like.mean() > other.mean() + 0.5
