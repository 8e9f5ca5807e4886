"""Gated attention over a slide's tiles: the network of a head, and one training of it.

Ilse et al. 2018, in the sizes of Phikon's published code (owkin/HistoSSLscaling): a
linear layer to 128, gated attention of 128, a perceptron of 128 and 64 on the weighted
mean; Adam, batches of 16 slides, up to 1,000 tiles of a slide drawn anew each epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_pathfm.evaluation._schedule import Schedule, Setting

WIDTH = 128


class Abmil(nn.Module):
    """A slide's classes from its tiles.

    Parameters
    ----------
    dim : int
        Length of a tile's feature.
    classes : int
        How many classes.
    """

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Linear(dim, WIDTH)
        self.content = nn.Linear(WIDTH, WIDTH)
        self.gate = nn.Linear(WIDTH, WIDTH)
        self.score = nn.Linear(WIDTH, 1)
        self.classify = nn.Sequential(
            nn.Linear(WIDTH, 128),
            nn.ReLU(),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, classes),
        )

    def attention(self, embedded: Tensor, there: Tensor) -> Tensor:
        """Weigh tiles: ``(B, T)`` from ``(B, T, 128)``, nothing where not there."""
        gated = torch.tanh(self.content(embedded)) * torch.sigmoid(self.gate(embedded))
        scores: Tensor = self.score(gated)[..., 0].masked_fill(~there, -torch.inf)
        return scores.softmax(1)

    def forward(self, bags: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(B, C)`` and attention ``(B, T)`` of bags ``(B, T, D)``."""
        embedded = self.embed(bags)
        weights = self.attention(embedded, there)
        pooled = (weights[..., None] * embedded).sum(1)
        return self.classify(pooled), weights


def train(
    bags: Sequence[NDArray[np.floating]],
    labels: NDArray[np.int64],
    classes: int,
    setting: Setting,
    schedule: Schedule,
    *,
    seed: int,
    watch: Sequence[NDArray[np.floating]] = (),
) -> tuple[Abmil, NDArray[np.float64]]:
    """Train one network, and say what it thought of other slides after each epoch.

    Parameters
    ----------
    bags : sequence of ndarray
        ``(n_i, D)`` each.
    labels : ndarray
        int64 ``(S,)`` in ``0 .. classes - 1``.
    classes : int
        How many classes.
    setting, schedule
        How.
    seed : int
        Of the weights, the order, and the tiles drawn.
    watch : sequence of ndarray
        Slides to predict after each epoch, with all their tiles.

    Returns
    -------
    (Abmil, ndarray)
        The network after the last epoch; float64 ``(epochs, W, C)`` probabilities.
    """
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Abmil(bags[0].shape[1], classes)
    adam = torch.optim.Adam(
        network.parameters(), lr=setting.rate, weight_decay=setting.decay
    )
    loss = nn.CrossEntropyLoss()
    watched = []
    for _ in range(schedule.epochs):
        network.train()
        order = rng.permutation(len(bags))
        for start in range(0, len(order), schedule.batch):
            rows = order[start : start + schedule.batch]
            some = [_draw(bags[row], schedule.tiles, rng) for row in rows]
            logits, _ = network(*_padded(some))
            adam.zero_grad()
            loss(logits, torch.from_numpy(labels[rows])).backward()
            adam.step()
        if len(watch):
            watched.append(probabilities(network, watch))
    return network.eval(), np.asarray(watched)


def probabilities(
    network: Abmil, bags: Sequence[NDArray[np.floating]]
) -> NDArray[np.float64]:
    """Class probabilities of slides: float64 ``(S, C)``."""
    network.eval()
    with torch.inference_mode():
        rows = [network(*_padded([bag]))[0].softmax(1).numpy()[0] for bag in bags]
    return np.asarray(rows, np.float64)


def probabilities_alone(
    network: Abmil, features: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Class probabilities of slides of one tile each: float64 ``(n, C)``."""
    network.eval()
    tiles = torch.from_numpy(np.asarray(features, np.float32))[:, None]
    with torch.inference_mode():
        logits, _ = network(tiles, torch.ones(tiles.shape[:2], dtype=torch.bool))
    return np.asarray(logits.softmax(1).numpy(), np.float64)


def weights_of_tiles(network: Abmil, bag: NDArray[np.floating]) -> NDArray[np.float32]:
    """Attention of each tile of a slide: float32 ``(n,)``, summing to one."""
    network.eval()
    with torch.inference_mode():
        weights: NDArray[np.float32] = network(*_padded([bag]))[1].numpy()[0]
    return weights


def _draw(
    bag: NDArray[np.floating], most: int, rng: np.random.Generator
) -> NDArray[np.floating]:
    return bag if len(bag) <= most else bag[rng.permutation(len(bag))[:most]]


def _padded(bags: Sequence[NDArray[np.floating]]) -> tuple[Tensor, Tensor]:
    longest = max(map(len, bags))
    stacked = np.zeros((len(bags), longest, bags[0].shape[1]), np.float32)
    there = np.zeros((len(bags), longest), bool)
    for row, bag in enumerate(bags):
        stacked[row, : len(bag)] = bag
        there[row, : len(bag)] = True
    return torch.from_numpy(stacked), torch.from_numpy(there)
