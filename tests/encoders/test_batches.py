"""Batches that do not fit into memory become smaller ones, and nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pathfm.encoders import ENCODERS, Encoder, load_encoder
from napari_pathfm.encoders._batches import Batches, out_of_memory
from napari_pathfm.errors import PathfmError

SPEC = ENCODERS["bundled"]


class Cramped(torch.nn.Module):
    """A network on a device with room for so many pixels at once."""

    def __init__(self, network: torch.nn.Module, pixels: int, error: Exception) -> None:
        super().__init__()
        self.network = network
        self.pixels = pixels
        self.error = error
        self.tried: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.tried.append(len(images))
        if images[:, 0].numel() > self.pixels:
            raise self.error
        return self.network(images)


def tiles(n: int, px: int = 56) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, px, px, 3), np.uint8)


def cramped(pixels: int, error: Exception) -> tuple[Encoder, Encoder, Cramped]:
    roomy = load_encoder(device="cpu")
    network = Cramped(roomy._network, pixels, error)
    return roomy, Encoder(SPEC, network, "test:0", torch.device("cpu")), network


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB)"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
        MemoryError(),
    ],
    ids=["cuda", "mps", "linux", "windows", "numpy"],
)
def test_a_batch_that_does_not_fit_is_halved_and_the_rest_stays_small(error):
    room = 5 * 56 * 56
    roomy, encoder, network = cramped(room, error)
    seen = tiles(150)
    features = encoder.encode(seen)
    wanted = roomy.encode(seen)
    # 8 tiles of 224 px are 128 of these.
    assert network.tried[:6] == [128, 64, 32, 16, 8, 4]
    assert set(network.tried[6:]) == {4, 2}
    np.testing.assert_allclose(features.cls, wanted.cls, atol=1e-4)
    np.testing.assert_allclose(features.patches, wanted.patches, atol=1e-4)
    # What was learned holds for the next call, and for fields of another size.
    network.tried.clear()
    encoder.encode(tiles(2, 112))
    assert network.tried == [1, 1]


def test_a_field_that_does_not_fit_alone_is_one_line():
    _, encoder, _ = cramped(1, torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(PathfmError, match="single field of 112 x 56 px") as caught:
        encoder.encode(np.zeros((3, 56, 112, 3), np.uint8))
    assert "\n" not in str(caught.value)


def test_other_failures_are_not_taken_for_it():
    error = RuntimeError("CUDA error: an illegal memory access was encountered")
    assert not out_of_memory(error)
    _, encoder, network = cramped(1, error)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        encoder.encode(tiles(3))
    assert network.tried == [3]


def test_cached_memory_is_given_back_between_the_two():
    order: list[object] = []

    def work(part):
        order.append(len(part))
        if len(part) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return part.sum()

    batches = Batches(6, release=lambda: order.append("released"))
    seen = np.ones((7, 1, 1, 3), np.uint8)
    spans = [(s.start, s.stop, int(v)) for s, v in batches.run(work, seen)]
    assert order == [6, "released", 3, "released", 1, 1, 1, 1, 1, 1, 1]
    assert spans == [(i, i + 1, 3) for i in range(7)]


def test_a_run_does_not_know(slide, tmp_path):
    from napari_pathfm.embeddings import embed_slide

    error = torch.OutOfMemoryError("CUDA out of memory.")
    roomy, encoder, network = cramped(2 * 224 * 224, error)
    store = embed_slide(slide, encoder, tmp_path / "cramped.zarr")
    other = embed_slide(slide, roomy, tmp_path / "roomy.zarr")
    assert store.complete
    assert max(network.tried) > 2
    np.testing.assert_allclose(store.features, other.features, atol=2e-2)
    np.testing.assert_array_equal(store.coords, other.coords)
