"""The figures of the bundled models' cards.

``python benchmarks/bundled_models.py PART DATA [--weights NAME=FOLDER ...] [--sheets
FOLDER]``, PART one of ``encoder``, ``autoencoder``, ``generator``, ``copies`` or
``all``. DATA holds ``slides`` and ``tiles`` as the shipped configs name them. The
bundled weights stand beside those of other folders in the same run, the encoder also
beside its teacher and an untrained twin. What is held out is so by the configs: the
osteosarcoma fields of Case-48, and the oral test split.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import shapely
import torch
from PIL import Image

from napari_pathfm import load_encoder, load_generator, open_slide, tile_grid, vary
from napari_pathfm.encoders import ENCODERS, Encoder
from napari_pathfm.encoders._vit import build_vit
from napari_pathfm.evaluation._copies import Gallery, Threshold, is_blank
from napari_pathfm.evaluation._distances import frechet_distance
from napari_pathfm.evaluation._pairs import place_cosines, place_hits
from napari_pathfm.exports import read_geojson
from napari_pathfm.generators._autoencoder import Autoencoder, to_signed
from napari_pathfm.training._repae_losses import psnr
from napari_pathfm.training._teachers import Lite0Teacher
from napari_pathfm.weights import bundled_path, load_strict, read_tensors

HELD_OUT = "Case-48"
PX = 224
Look = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
PLACES = 24
CONTRAST = 25  # standard deviation of 0..255 above which a tile is no glass
AXES = 64  # principal components that Fréchet distances are measured in
SAMPLES = 1000  # among which copies are looked for
SLIDES = (("CMU-1-Small-Region.svs", None), ("TCGA-CR-7395-01A-01-TS1.svs", 0.5))


@dataclass(frozen=True)
class Weights:
    """One version of the bundled models."""

    name: str
    folder: Path

    def encoder(self) -> Encoder:
        described = self.folder / "encoder.toml"  # of a run
        if described.is_file():
            return load_encoder(described, device="cpu")
        path = self.folder / "encoder.safetensors"
        return load_encoder("bundled", weights=path, device="cpu")

    def generator(self):
        return load_generator("bundled", weights=self.folder, device="cpu")


def fields(data: Path, *, held_out: bool | None = None) -> list[Path]:
    files = sorted((data / "tiles" / "osteosarcoma").glob("*.jpg"))
    return [f for f in files if held_out is None or (HELD_OUT in f.name) == held_out]


def cut(file: Path, grid: int = 4) -> list[np.ndarray]:
    """A lattice of ``grid`` x ``grid`` tiles of a field, as they are."""
    corners = np.linspace(0, 1024 - PX, grid).astype(int)
    field = np.asarray(Image.open(file).convert("RGB"))
    return [field[y : y + PX, x : x + PX] for y in corners for x in corners]


def by_encoder(encoder: Encoder) -> Look:
    """CLS and patch tokens."""

    def look(tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen = encoder.encode(tiles)
        return seen.cls, seen.patches

    return look


def slide_tiles(data: Path) -> list[np.ndarray]:
    tiles: list[np.ndarray] = []
    for name, mpp in SLIDES:
        with open_slide(data / "slides" / name, mpp=mpp) as slide:
            tiles += [p for _, batch in slide.tiles(tile_grid(slide)) for p in batch]
    return tiles


def by_teacher(tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pooled features and maps of EfficientNet-Lite0, which steers no version."""
    teacher = Lite0Teacher(torch.device("cpu"))
    parts = np.array_split(tiles, max(len(tiles) // 64, 1))
    seen = [teacher.look(part) for part in parts]
    pooled, maps = (torch.cat(each).numpy() for each in zip(*seen, strict=True))
    return pooled, maps


def nearest_neighbour(features, labels, groups=None) -> float:
    """Leave-one-out accuracy of the nearest neighbour by cosine, centred.

    With groups, neighbours of the same group (case) do not count.
    """
    unit = features - features.mean(0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    if groups is not None:
        cosine[groups[:, None] == groups[None, :]] = -2
    return float((labels[cosine.argmax(1)] == labels).mean())


def case_of(name: str) -> str:
    """Case of an osteosarcoma field: ``Case-3``, ``Case-4``, ``Case-48``, ``P9``."""
    rest = name.split("___")[1]
    return "-".join(rest.split("-")[:2]) if rest.startswith("Case") else "P9"


def scanner_crops(data: Path, px: int = 64, step: int = 16) -> list[np.ndarray]:
    """The same lattice of crops from each of five scanners' pictures of one field."""
    views = []
    for file in sorted((data / "tiles" / "multiscanner_scc").glob("*.png")):
        field = Image.open(file).convert("RGB")
        starts = range(0, 236 - px + 1, step)
        crops = [field.crop((x, y, x + px, y + px)) for y in starts for x in starts]
        large = [c.resize((PX, PX), Image.Resampling.BICUBIC) for c in crops]
        views.append(np.stack([np.asarray(crop) for crop in large]))
    return views


def regions() -> dict[str, shapely.Geometry]:
    """The hand-drawn regions of CMU-1-Small-Region, by class."""
    drawn = read_geojson(Path(__file__).parents[1] / "tests/data/cmu_regions.geojson")
    return {
        name: shapely.union_all(
            [one.geometry for one in drawn if one.classification == name]
        )
        for name in ("Epidermis", "Dermis")
    }


def click_aucs(tokens, x, y, shapes, clicks: int = 150) -> list[float]:
    """How well a click in each region tells it from the other: mean AUC over clicks."""
    unit = tokens / np.linalg.norm(tokens, axis=1, keepdims=True)
    inside = [unit[shapely.contains_xy(shape, x, y)] for shape in shapes.values()]
    found = []
    for own, other in (inside, inside[::-1]):
        each = []
        for at in np.linspace(0, len(own) - 1, min(clicks, len(own))).astype(int):
            like, unlike = np.delete(own, at, 0) @ own[at], other @ own[at]
            ranks = np.concatenate([like, unlike]).argsort().argsort()[: len(like)]
            each.append((ranks.mean() - (len(like) - 1) / 2) / len(unlike))
        found.append(float(np.mean(each)))
    return found


def lattice_share(patches: np.ndarray) -> float:
    """Which share of patches' variance their place in the tile explains.

    By chance one over the tiles; more shows as the lattice of tiles in a map.
    """
    unit = patches / np.linalg.norm(patches, axis=-1, keepdims=True)
    centred = unit - unit.mean((0, 1, 2))
    return float((centred.mean(0) ** 2).sum(-1).mean() / (centred**2).sum(-1).mean())


def seam(patches: np.ndarray, coords: np.ndarray, tile_size: float) -> float:
    """How far neighbours across tiles' borders are apart, over those within tiles.

    By one minus their cosine; where it is well above 1 a map is drawn in blocks.
    """
    unit = patches / np.linalg.norm(patches, axis=-1, keepdims=True)
    side = unit.shape[1]
    cells = np.rint(coords / tile_size).astype(int)
    cells -= cells.min(0)
    columns, rows = (cells.max(0) + 1) * side
    field = np.full((rows, columns, unit.shape[-1]), np.nan, np.float32)
    for (column, row), tile in zip(cells * side, unit, strict=True):
        field[row : row + side, column : column + side] = tile
    across, within = [], []
    for way in (field, field.swapaxes(0, 1)):
        apart = 1 - (way[1:] * way[:-1]).sum(-1)
        border = np.arange(len(apart)) % side == side - 1
        across.append(apart[border].ravel())
        within.append(apart[~border].ravel())
    return float(
        np.nanmean(np.concatenate(across)) / np.nanmean(np.concatenate(within))
    )


def click_figures(data: Path, looks: dict[str, Look]) -> None:
    """Clicks into two kinds of tissue, by tiles and by patches."""
    shapes = regions()
    with open_slide(data / "slides" / SLIDES[0][0]) as slide:
        half, whole = tile_grid(slide, stride=PX // 2), tile_grid(slide)
        seen = [
            np.concatenate([pixels for _, pixels in slide.tiles(grid)])
            for grid in (half, whole)
        ]
    for name, look in looks.items():
        x, y = (half.coords + half.tile_size / 2).T
        told = [click_aucs(look(seen[0])[0], x, y, shapes)]
        patches = look(seen[1])[1]
        side = whole.tile_size / patches.shape[1]
        steps = side * (np.arange(patches.shape[1]) + 0.5)
        x = whole.coords[:, 0, None, None] + steps[None, None, :] + 0 * steps[:, None]
        y = whole.coords[:, 1, None, None] + steps[None, :, None] + 0 * steps
        flat = patches.reshape(-1, patches.shape[-1])
        told.append(click_aucs(flat, x.ravel(), y.ravel(), shapes))
        by_tile, by_patch = ("epidermis {:.3f}, dermis {:.3f}".format(*t) for t in told)
        print(
            f"{name}: AUC of a click by tiles: {by_tile}; by patches: {by_patch}; "
            f"explained by their place in the tile {lattice_share(patches):.3f} "
            f"(by chance {1 / len(patches):.3f}); across tiles' borders "
            f"{seam(patches, whole.coords, whole.tile_size):.2f} of within",
            flush=True,
        )


def encoder_figures(data: Path, versions: list[Weights]) -> None:
    files = fields(data)
    labels = np.array([f.name.split("___")[0] for f in files])
    cases = np.array([case_of(f.name) for f in files])
    tiles = np.stack([tile for file in files for tile in cut(file)])
    scanners = scanner_crops(data)
    torch.manual_seed(0)
    network = build_vit(ENCODERS["bundled"])
    device = torch.device("cpu")
    twin = Encoder(ENCODERS["bundled"], network, "random", device)
    found = {w.name: w.encoder() for w in versions} | {"untrained twin": twin}
    looks: dict[str, Look] = {name: by_encoder(e) for name, e in found.items()}
    looks["teacher"] = by_teacher
    print(f"{len(files)} fields, {(cases == HELD_OUT).sum()} of them held out;")
    print(f"{len(scanners[0])} places on {len(scanners)} scanners, medians of pairs")
    for name, look in looks.items():
        features = look(tiles)[0].reshape(len(files), 16, -1).mean(1)
        all_fields = nearest_neighbour(features, labels)
        across = nearest_neighbour(features, labels, cases)
        views = [look(view)[0] for view in scanners]
        pairs = []
        for a, b in combinations(views, 2):
            hits = place_hits(a, b).mean(-1)  # of both slides, of the other; top-k
            cosine = float(place_cosines(a, b).mean())
            pairs.append([cosine, hits[0, 3], hits[1, 0], hits[1, 3]])
        cosine, both, first, ten = np.median(pairs, 0)
        print(
            f"{name}: 1-NN {all_fields:.3f} leave-one-out, {across:.3f} across cases; "
            f"across scanners cosine {cosine:.3f}, top-10 {both:.3f}, other slide's "
            f"top-1 {first:.3f}, top-10 {ten:.3f}",
            flush=True,
        )
    click_figures(data, looks)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    encoder = versions[0].encoder()
    encoder.encode(tiles[:64])
    took = []
    for _ in range(5):
        start = time.perf_counter()
        encoder.encode(tiles[:64])
        took.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    print(f"one core: {64 / np.median(took):.0f} tiles/s ({encoder.precision})")


def autoencoder_figures(data: Path, versions: list[Weights]) -> None:
    """PSNR on whole held-out tiles."""
    rng = np.random.default_rng(3)
    oral = sorted((data / "tiles" / "oral_oscc" / "test").rglob("*.*"))
    oral = [
        np.asarray(Image.open(oral[i]).convert("RGB"))
        for i in rng.choice(len(oral), 64, replace=False)
    ]
    bone = [tile for file in fields(data, held_out=True) for tile in cut(file)]
    sources = {
        "osteosarcoma, Case-48": [bone[i] for i in rng.choice(len(bone), 64, False)],
        "osteosarcoma, with contrast": [t for t in bone if t.std() > CONTRAST][:96],
        "oral mucosa, test split": [tile[:PX, :PX] for tile in oral],
    }
    for version in versions:
        path = version.folder / "autoencoder.safetensors"
        network = Autoencoder()
        load_strict(network, read_tensors(path), model="the autoencoder", path=path)
        network.eval()
        for name, tiles in sources.items():
            real = to_signed(torch.from_numpy(np.stack(tiles)))
            with torch.inference_mode():
                again = network.decode(network.encode(real)).clamp(-1, 1)
            each = psnr(again, real).numpy()
            print(
                f"autoencoder {version.name}, held-out {name}: {each.mean():.1f} dB "
                f"over {len(tiles)} tiles ({each.min():.1f} to {each.max():.1f})",
                flush=True,
            )


def texture(tile: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise with a tile's own spectrum and colours: its statistics, and no tissue."""
    phase = np.angle(np.fft.rfft2(rng.standard_normal(tile.shape[:2])))
    spectrum = np.fft.rfft2(tile.astype(float), axes=(0, 1))
    # One turn of phase for all colours, so that these stay together.
    spectrum[1:, 1:] *= np.exp(1j * phase)[1:, 1:, None]
    noise = np.fft.irfft2(spectrum, tile.shape[:2], axes=(0, 1))
    return np.clip(np.rint(noise), 0, 255).astype(np.uint8)


def distances(data: Path, versions: list[Weights]) -> None:
    """Fréchet distance to held-out tiles, over a floor and a ceiling.

    Half of the held-out fields condition; the other half is compared with.
    """
    files = fields(data, held_out=True)
    own = np.stack([tile for file in files[::2] for tile in cut(file)])
    other = np.stack([tile for file in files[1::2] for tile in cut(file)])
    rng = np.random.default_rng(0)
    real = by_teacher(other)[0]
    centre = real.mean(0)
    _, _, axes = np.linalg.svd(real - centre, full_matrices=False)

    def distance(tiles: np.ndarray) -> float:
        return frechet_distance(
            (by_teacher(tiles)[0] - centre) @ axes[:AXES].T,
            (real - centre) @ axes[:AXES].T,
        )

    floor = distance(own)
    ceiling = distance(np.stack([texture(tile, rng) for tile in own]))
    print(
        f"Fréchet, {len(own)} against {len(other)} held-out tiles, EfficientNet-Lite0, "
        f"{AXES} components: real {floor:.2f}, texture {ceiling:.2f}"
    )
    for version in versions:
        cls = version.encoder().encode(own).cls
        start = time.perf_counter()
        made = version.generator().generate(cls, seed=1, preset="fast")
        took = (time.perf_counter() - start) / len(made)
        apart = distance(np.stack([image.pixels for image in made]))
        print(f"  {version.name}, fast: {apart:.2f}, {took:.2f} s a tile", flush=True)


def variants(data: Path, version: Weights, sheets: Path | None) -> None:
    """How often a variant is nearer to its own tile than to the slide's others."""
    encoder, generator = version.encoder(), version.generator()
    for file, mpp in SLIDES:
        with open_slide(data / "slides" / file, mpp=mpp) as slide:
            grid = tile_grid(slide)
            tiles = np.concatenate([pixels for _, pixels in slide.tiles(grid)])
            others = encoder.encode(tiles).cls
            others /= np.linalg.norm(others, axis=1, keepdims=True)
            rng = np.random.default_rng(0)
            rows = np.sort(rng.choice(len(grid), PLACES, replace=False))
            wins, cosines, pairs, took = [], [], [], []
            for number, row in enumerate(rows):
                x, y = grid.coords[row] + grid.tile_size / 2
                start = time.perf_counter()
                made = vary(
                    slide, [(float(x), float(y))], generator, encoder, n=1, seed=number
                )
                took.append(time.perf_counter() - start)
                cls = encoder.encode(made.images[0].pixels[None]).cls[0]
                cls /= np.linalg.norm(cls)
                far = np.abs(grid.coords - grid.coords[row]).max(1) > grid.tile_size
                wins.append(float((others[far] @ cls < others[row] @ cls).mean()))
                cosines.append(float(others[row] @ cls))
                pairs.append(np.concatenate([made.source, made.images[0].pixels]))
        name = Path(file).stem
        print(
            f"generator {version.name} on {name}: own tile beats {np.mean(wins):.1%} "
            f"of the others, {np.mean(np.array(wins) >= 0.95):.0%} of {PLACES} places "
            f"beat 95 %, mean cosine {np.mean(cosines):.2f}, {np.median(took):.2f} s "
            "a tile",
            flush=True,
        )
        if sheets is not None:
            sheets.mkdir(parents=True, exist_ok=True)
            rows_of = [np.concatenate(pairs[i : i + 8], 1) for i in (0, 8)]
            picture = Image.fromarray(np.concatenate(rows_of))
            size = (picture.width // 2, picture.height // 2)
            picture = picture.resize(size, Image.Resampling.LANCZOS)
            few = picture.quantize(64, dither=Image.Dither.NONE)  # below 300 kB
            few.save(sheets / f"samples-{name}.png", optimize=True)


def copies(data: Path, version: Weights) -> None:
    """How many of a thousand samples are flagged as copies of what was learnt from."""
    known = slide_tiles(data)
    known += [tile for file in fields(data, held_out=False) for tile in cut(file)]
    known = [tile for tile in known if not is_blank(tile)]
    originals = [tile for file in fields(data, held_out=True) for tile in cut(file)]
    originals = [tile for tile in originals if not is_blank(tile)]
    encoder, generator = version.encoder(), version.generator()
    gallery = Gallery(known, encoder)
    # Its own encoder steered it, so texture decides; the other count is told.
    limit = Threshold.of(gallery.closeness(originals[::2]))
    alone = replace(limit, embedding=None)
    rest = alone.flags(gallery.closeness(originals[1::2]))
    rng = np.random.default_rng(2)
    flagged = by_embedding = 0
    for batch in range(SAMPLES // 50):
        rows = rng.choice(len(known), 50)
        cls = encoder.encode(np.stack([known[i] for i in rows])).cls
        made = generator.generate(cls, seed=1000 + batch, preset="fast")
        close = gallery.closeness([image.pixels for image in made])
        flagged += int(alone.flags(close).sum())
        by_embedding += int((close.embedding > limit.embedding).sum())
    print(
        f"copies {version.name}: {flagged} of {SAMPLES} samples flagged by texture "
        f"among {len(known)} training tiles, {int(rest.sum())} of {len(rest)} real "
        f"held-out ones (above {limit.pixels:.3f}); {by_embedding} are nearer than "
        f"{limit.embedding:.3f} to one by the encoder that steered them"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ("encoder", "autoencoder", "generator", "copies", "all")
    parser.add_argument("part", choices=parts)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--sheets", type=Path)
    told = parser.parse_args()
    versions = [Weights("bundled", bundled_path("encoder.safetensors").parent)]
    for named in told.weights:
        name, _, folder = named.partition("=")
        versions.append(Weights(name, Path(folder)))
    if told.part in ("encoder", "all"):
        encoder_figures(told.data, versions)
    if told.part in ("autoencoder", "all"):
        autoencoder_figures(told.data, versions)
    if told.part in ("generator", "all"):
        distances(told.data, versions)
        variants(told.data, versions[0], told.sheets)
    if told.part in ("copies", "all"):
        copies(told.data, versions[0])


if __name__ == "__main__":
    main()
