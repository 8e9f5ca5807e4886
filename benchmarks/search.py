"""How fast search over many slides answers, and what an index misses.

``python benchmarks/search.py`` writes stores of 10^5 vectors of 192, in clusters as
tissue is, and prints for 10^5 and 10^6 vectors (``--exact-only N``: N vectors, without
an index; ``--largest N``: up to N with one):

- exact search from the stores on disk, and over the same vectors held in memory in half
  precision by the products alone
- building an index, its size, opening it, asking it, and its recall at 20: how many of
  the 20 that exact search finds it finds as well, over 100 places
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from napari_pathfm.embeddings import EmbeddingStore, open_store
from napari_pathfm.embeddings._create import create_store
from napari_pathfm.embeddings._store import FORMAT, VERSION
from napari_pathfm.encoders import Features
from napari_pathfm.heatmaps import build_index, open_index, search
from napari_pathfm.slides import TileGrid

DIM = 192
A_STORE = 100_000
CLUSTERS = 500
PLACES = 100
N = 20


def lattice(n: int) -> TileGrid:
    columns = int(np.ceil(np.sqrt(n)))
    cells = np.stack(np.divmod(np.arange(n), columns), axis=1).astype(np.int32)
    return TileGrid(
        (cells[:, ::-1] * 224).astype(np.int32),
        px=224,
        mpp=0.5,
        tile_size=224.0,
        stride=224,
        origin=(0, 0),
        shape=(int(cells[-1, 0]) + 1, columns),
        cells=cells,
        mask={},
    )


def write(folder: Path, number: int) -> EmbeddingStore:
    grid = lattice(A_STORE)
    attrs = {"format": FORMAT, "version": VERSION, "grid": grid.to_attrs()}
    attrs |= {"encoder": "random", "weights_revision": "0", "pooling": "cls"}
    attrs |= {"slide_mpp": 0.5, "mpp": 0.5, "tile_px": 224, "icc_applied": False}
    attrs |= {"slide_fingerprint": str(number), "slide": f"{number}.svs"}
    centres = np.random.default_rng(0).standard_normal((CLUSTERS, DIM))
    rng = np.random.default_rng(number + 1)
    vectors = centres[rng.integers(CLUSTERS, size=A_STORE)].astype(np.float32)
    vectors += 0.7 * rng.standard_normal(vectors.shape, np.float32)
    store = create_store(folder / f"{number}.zarr", attrs, grid, DIM, None)
    none = np.zeros((0, 0, 0, 0), np.float32)
    store.write(np.arange(A_STORE), Features(vectors, none, vectors))
    return open_store(store.path)


def seconds(call, rounds: int = 3) -> float:
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return float(np.median(took))


def places() -> list[tuple[float, float]]:
    rows = np.random.default_rng(7).choice(A_STORE, PLACES, replace=False)
    return [tuple(p) for p in (lattice(A_STORE).coords[rows] + 112.0).tolist()]


def in_memory(stores: list[EmbeddingStore]) -> None:
    """The products alone, of vectors of length 1 in half precision."""
    import torch

    held = torch.from_numpy(np.concatenate([store.features for store in stores]))
    held /= held.float().norm(dim=1, keepdim=True).half()
    one = held[17].clone()
    took = seconds(lambda: torch.topk(held @ one, N))
    print(f"  exact, held in memory as fp16: {took * 1e3:.0f} ms")


def exact(stores: list[EmbeddingStore]) -> None:
    query, place = stores[0], places()[0]
    spent = time.process_time()
    took = seconds(lambda: search(query, [place], stores, N))
    spent = (time.process_time() - spent) / 3
    print(f"  exact, from the stores: {took:.2f} s, {spent:.2f} s of the processor's")
    in_memory(stores)


def indexed(stores: list[EmbeddingStore], file: Path) -> None:
    start, spent = time.perf_counter(), time.process_time()
    build_index(stores, file)
    took, size = time.perf_counter() - start, file.stat().st_size / 2**20
    spent = time.process_time() - spent
    opened = seconds(lambda: open_index(file))
    index, query = open_index(file), stores[0]
    asked, recall, worst = [], [], 0.0
    truth = exactly(stores, places())
    for place, wanted in zip(places(), truth, strict=True):
        start = time.perf_counter()
        hits = search(query, [place], index, N)
        asked.append(time.perf_counter() - start)
        found = {(hit.store, hit.x, hit.y): hit.score for hit in hits}
        both = found.keys() & wanted.keys()
        recall.append(len(both) / N)
        worst = max([worst, *(abs(found[k] - wanted[k]) for k in both)])
    print(
        f"  index: built in {took:.0f} s, {spent:.0f} s of the processors', "
        f"{size:.0f} MiB, opened in "
        f"{opened * 1e3:.0f} ms, asked in {np.median(asked) * 1e3:.0f} ms; recall@{N} "
        f"{np.mean(recall):.4f}, at worst {min(recall):.2f} of {PLACES} places; scores "
        f"differ by {worst:.1e} at most"
    )


def exactly(
    stores: list[EmbeddingStore], at: list[tuple[float, float]]
) -> list[dict[tuple[str, float, float], float]]:
    """What exact search finds, all places in one pass."""
    grid = stores[0].grid
    rows = np.array([grid.index_at(x, y) for x, y in at])
    own = stores[0].features.astype(np.float32)[rows]
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    best: list[list[tuple[float, tuple[str, float, float]]]] = [[] for _ in at]
    for store in stores:
        vectors = store.features.astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scores = vectors @ own.T
        for i, row in enumerate(rows):
            if store.path == stores[0].path:
                scores[row, i] = -2
            top = np.argpartition(-scores[:, i], N)[:N]
            for r in top.tolist():
                x, y = (grid.coords[r] + 112.0).tolist()
                best[i].append((float(scores[r, i]), (str(store.path), x, y)))
    return [
        {key: score for score, key in sorted(one, reverse=True)[:N]} for one in best
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--exact-only", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sizes = [100_000, 1_000_000, 3_000_000]
        sizes = [n for n in sizes if n <= options.largest]
        if options.exact_only:
            sizes = [options.exact_only]
        stores: list[EmbeddingStore] = []
        for n in sizes:
            while len(stores) * A_STORE < n:
                stores.append(write(folder, len(stores)))
            print(f"{n:,} vectors of {DIM} in {len(stores)} stores", flush=True)
            exact(stores)
            if not options.exact_only:
                indexed(stores, folder / "all.index")


if __name__ == "__main__":
    main()
