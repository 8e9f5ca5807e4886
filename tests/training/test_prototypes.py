"""DINO, iBOT, KoLeo and Sinkhorn-Knopp against the same written in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pathfm.training._prototypes import (
    Head,
    dino,
    entropy,
    ibot,
    koleo,
    sinkhorn,
)
from napari_pathfm.training._ranks import Ranks

CPU = Ranks(torch.device("cpu"))


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def assigned(scores, temperature):
    """Sinkhorn-Knopp as SwAV writes it: K x B, shares 1/K of rows, 1/B of columns."""
    q = np.exp(scores / temperature).T
    k, b = q.shape
    q /= q.sum()
    for _ in range(3):
        q /= q.sum(1, keepdims=True) * k
        q /= q.sum(0, keepdims=True) * b
    return (q * b).T


def crossed(scores, wanted, temperature):
    return -(wanted * np.log(softmax(scores / temperature))).sum(-1)


def test_sinkhorn_is_swavs():
    scores = drawn(12, 5)
    got = sinkhorn(torch.from_numpy(scores), 0.1, CPU).numpy()
    np.testing.assert_allclose(got, assigned(scores, 0.1), rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(got.sum(1), 1, rtol=1e-5)
    # Many rounds would make the shares equal; three bring them near it.
    before = softmax(scores / 0.1).sum(0)
    assert got.sum(0).std() < before.std()


@pytest.mark.parametrize("same", [True, False])
def test_dino_is_the_mean_over_pairs_of_views(same):
    student = [drawn(4, 6, seed=i) for i in range(3)]
    teacher = [assigned(drawn(4, 6, seed=9 + i), 0.07) for i in range(2)]
    pairs = [
        crossed(s, t, 0.1).mean()
        for i, s in enumerate(student)
        for j, t in enumerate(teacher)
        if same or i != j
    ]
    assert len(pairs) == (6 if same else 4)
    got = dino(
        [torch.from_numpy(s) for s in student],
        [torch.from_numpy(t) for t in teacher],
        0.1,
        same=same,
    )
    assert float(got) == pytest.approx(np.mean(pairs), rel=1e-5)


def test_ibot_weighs_images_alike_and_counts_those_without_as_zero():
    scores, wanted = drawn(3, 4, 6), softmax(drawn(3, 4, 6, seed=1))
    chosen = np.array([[1, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]], bool)
    each = crossed(scores, wanted, 0.1)
    by_hand = (each[0, :3].mean() + each[1, 2] + 0) / 3
    given = (scores[chosen], wanted[chosen], chosen)
    got = ibot(*(torch.from_numpy(a) for a in given), 0.1)
    assert float(got) == pytest.approx(by_hand, rel=1e-5)


def test_koleo_is_the_log_of_the_nearest_distance():
    cls = drawn(7, 5)
    unit = cls / np.linalg.norm(cls, axis=1, keepdims=True)
    distances = np.linalg.norm(unit[:, None] - unit[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    by_hand = -np.log(distances.min(1)).mean()
    assert float(koleo(torch.from_numpy(cls))) == pytest.approx(by_hand, rel=1e-4)


def test_the_entropy_is_the_floor():
    wanted = torch.from_numpy(softmax(drawn(5, 6)))
    scores = wanted.log() * 0.1
    least = dino([scores], [wanted], 0.1, same=True)
    assert float(least) == pytest.approx(float(entropy(wanted)), rel=1e-4)


def test_the_head_gives_cosines_whatever_the_size_of_its_rows():
    torch.manual_seed(0)
    head = Head(8, 16, 4, 10)
    tokens = torch.randn(3, 8)
    scores = head(tokens)
    assert scores.abs().max() <= 1 + 1e-5
    inner = head.mlp(tokens).detach().numpy()
    rows = head.prototypes.detach().numpy()
    by_hand = (inner / np.linalg.norm(inner, axis=1, keepdims=True)) @ (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
    ).T
    np.testing.assert_allclose(scores.detach().numpy(), by_hand, atol=1e-5)
