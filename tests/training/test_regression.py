"""Features in the place of prototypes: each loss against NumPy, and the recipe."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pathfm.errors import PathfmError
from napari_pathfm.training._encoder_config import Losses
from napari_pathfm.training._regression import (
    Axes,
    Places,
    agreement,
    feature_losses,
    geometry,
    unlike,
)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def tensor(x):
    return torch.from_numpy(x).float()


def test_axes_are_the_principal_ones_halfway_to_equal_spread():
    tokens = numbers(200, 5) * [9, 4, 1, 0.25, 0.01] + 3
    axes = Axes(5, 3)
    axes.fit(tensor(tokens), "key")
    said = axes(tensor(tokens)).double().numpy()
    centred = tokens - tokens.mean(0)
    _, s, v = np.linalg.svd(centred, full_matrices=False)
    spread = s[:3] / np.sqrt(len(tokens))
    wanted = centred @ v[:3].T / np.sqrt(spread)
    np.testing.assert_allclose(np.abs(said), np.abs(wanted), rtol=2e-3, atol=2e-3)
    # What is left of each axis is the root of its spread.
    np.testing.assert_allclose(said.std(0), np.sqrt(spread), rtol=1e-3)
    again = Axes(5, 3)
    again.fit(tensor(-centred), "key")
    # Signs do not depend on those of the tokens.
    torch.testing.assert_close(again.axes, axes.axes, rtol=1e-3, atol=1e-4)


def test_steady_axes_are_those_that_renderings_change_least():
    tiles, renderings = numbers(300, 1, 4), numbers(300, 3, 4, seed=1)
    # The first number tells tiles apart most, and renderings of a tile as well.
    tokens = tiles * [9, 3, 2, 0.1] + renderings * [9, 0.1, 0.3, 0.1]
    axes = Axes(4, 2)
    axes.fit_steady(tensor(tokens), 0.01, "key")
    said = axes(tensor(tokens)).double().numpy()
    means = tokens.mean(1)
    left = (tokens - means[:, None]).reshape(-1, 4)
    between = np.cov(means.T, bias=True)
    within = left.T @ left / 600 + 0.01 * np.trace(between) / 4 * np.eye(4)
    values, vectors = np.linalg.eig(np.linalg.solve(within, between))
    order = values.real.argsort()[::-1][:2]
    wanted = vectors.real[:, order]
    wanted /= np.sqrt(np.einsum("ij,ik,kj->j", wanted, within, wanted))
    centred = tokens - means.mean(0)
    np.testing.assert_allclose(
        np.abs(said), np.abs(centred @ wanted), rtol=5e-3, atol=5e-3
    )
    # Along either, tiles spread by the root of the ratio of the two variances.
    np.testing.assert_allclose(
        said.mean(1).std(0), np.sqrt(values.real[order]), rtol=5e-3
    )
    assert np.abs(np.corrcoef(said[:, 0, 0], tokens[:, 0, 0])[0, 1]) < 0.2
    axes.fit_steady(tensor(tokens), 1e4, "key")
    principal = Axes(4, 2)
    principal.fit(tensor(means), "key")
    one, other = (axes.axes[:, 0], principal.axes[:, 0])
    assert float(unlike(one, other)) == pytest.approx(0, abs=1e-3)  # nothing counts


def test_places_lose_their_mean_and_keep_that_of_all():
    maps = numbers(50, 2, 3, 4) + 5
    maps[:, 0, 0] += 3
    places = Places(tensor(maps.mean(0)))
    left = places(tensor(maps)).double().numpy()
    wanted = np.broadcast_to(maps.mean((0, 1, 2)), (2, 3, 4))
    np.testing.assert_allclose(left.mean(0), wanted, atol=1e-5)
    np.testing.assert_allclose(left - left.mean(0), maps - maps.mean(0), atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 5), (9, 2)])
def test_too_many_axes_are_refused(shape):
    with pytest.raises(PathfmError, match=r"teacher\.cls_axes: 3 axes cannot be found"):
        Axes(shape[1], 3).fit(torch.zeros(shape), "teacher.cls_axes")
    views = torch.zeros(shape[0], 2, shape[1])
    with pytest.raises(PathfmError, match=r"teacher\.cls_axes: 3 axes cannot be found"):
        Axes(shape[1], 3).fit_steady(views, 0.1, "teacher.cls_axes")


def test_unlike_is_one_minus_the_cosine():
    a, b = numbers(4, 3, 6), numbers(4, 3, 6, seed=1)
    wanted = 1 - (unit(a) * unit(b)).sum(-1).mean()
    assert float(unlike(tensor(a), tensor(b))) == pytest.approx(wanted, abs=1e-5)
    assert float(unlike(tensor(a), tensor(3 * a))) == pytest.approx(0, abs=1e-5)


def test_geometry_compares_cosines_between_tiles():
    a, b = numbers(5, 7), numbers(5, 3, seed=1)
    wanted = ((unit(a) @ unit(a).T - unit(b) @ unit(b).T) ** 2).mean()
    assert float(geometry(tensor(a), tensor(b))) == pytest.approx(wanted, abs=1e-5)
    turned = a @ np.linalg.qr(numbers(7, 7, seed=2))[0]
    assert float(geometry(tensor(a), tensor(turned))) == pytest.approx(0, abs=1e-6)


def test_patches_are_compared_with_those_of_all_tiles():
    module = torch.nn.ModuleDict({"patch_axes": Axes(5, 3)})
    module["patch_axes"].fit(tensor(numbers(40, 5)), "key")
    patches, tokens = numbers(3, 16, 4, seed=1), numbers(3, 16, 5, seed=2)
    told = Losses(map_geometry=2.0)
    cls, pooled = torch.zeros(3, 4), torch.zeros(3, 5)
    found = feature_losses(module, cls, tensor(patches), pooled, tensor(tokens), told)
    # Eight of a tile: every second of sixteen.
    a = unit(patches[:, ::2].reshape(24, 4))
    b = unit(module["patch_axes"](tensor(tokens))[:, ::2].reshape(24, 3).numpy())
    wanted = 2 * ((a @ a.T - b @ b.T) ** 2).mean()
    assert float(found["map_geometry"]) == pytest.approx(wanted, abs=1e-5)


def test_within_a_tile_only_differences_from_its_mean_count():
    module = torch.nn.ModuleDict(
        {"patch_axes": Axes(5, 3), "patch_words": torch.nn.Linear(4, 3)}
    )
    module["patch_axes"].fit(tensor(numbers(40, 5)), "key")
    patches, tokens = numbers(3, 16, 4, seed=1), numbers(3, 16, 5, seed=2)
    told = Losses(maps=2.0, map_geometry=3.0, within=True)
    rest = torch.zeros(3, 4), torch.zeros(3, 5)

    def found(patches, tokens, told=told):
        both = tensor(patches), tensor(tokens)
        return feature_losses(module, rest[0], both[0], rest[1], both[1], told)

    losses = found(patches, tokens)

    def less_mean(x):
        return x - x.mean(1, keepdims=True)

    said = less_mean(module["patch_words"](tensor(patches)).detach().numpy())
    wanted = less_mean(module["patch_axes"](tensor(tokens)).numpy())
    alike = (unit(said) * unit(wanted)).sum(-1).mean()
    assert float(losses["maps"].detach()) == pytest.approx(2 * (1 - alike), abs=1e-5)
    a = unit(less_mean(patches)[:, ::2].reshape(24, 4))
    b = unit(wanted[:, ::2].reshape(24, 3))
    gap = 3 * ((a @ a.T - b @ b.T) ** 2).mean()
    assert float(losses["map_geometry"]) == pytest.approx(gap, abs=1e-5)
    # What is the same all over a tile is nobody's to say.
    moved = found(patches + numbers(3, 1, 4, seed=3), tokens + numbers(3, 1, 5, seed=4))
    for name, loss in losses.items():
        torch.testing.assert_close(moved[name], loss, atol=1e-4, rtol=1e-4)
    whole = found(patches, tokens, Losses(maps=2.0))["maps"]
    assert float((whole - losses["maps"]).detach().abs()) > 1e-3


def test_agreement_is_infonce_in_both_directions():
    a, b = numbers(4, 8), numbers(4, 8, seed=1)
    scores = unit(a) @ unit(b).T / 0.1

    def direction(s):
        top = s.max(1, keepdims=True)
        total = top[:, 0] + np.log(np.exp(s - top).sum(1))
        return (total - np.diag(s)).mean()

    wanted = (direction(scores) + direction(scores.T)) / 2
    assert float(agreement(tensor(a), tensor(b))) == pytest.approx(wanted, abs=1e-4)
    apart = tensor(np.eye(4))
    assert float(agreement(apart, apart)) < 2e-4 * 3 < float(agreement(apart, -apart))


def test_only_losses_with_a_weight_are_computed():
    module = torch.nn.ModuleDict(
        {
            "cls_axes": Axes(6, 2),
            "patch_axes": Axes(5, 2),
            "cls_words": torch.nn.Linear(4, 2),
            "patch_words": torch.nn.Linear(4, 2),
        }
    )
    said = torch.randn(6, 4), torch.randn(6, 9, 4)
    seen = torch.randn(6, 6), torch.randn(6, 9, 5)
    for names in (("pooled",), ("maps", "agree"), ("geometry",), ("map_geometry",)):
        told = Losses(**dict.fromkeys(names, 2.0))
        found = feature_losses(module, *said, *seen, told)
        assert set(found) == set(names)
    once = feature_losses(module, *said, *seen, Losses(agree=1.0))["agree"]
    twice = feature_losses(module, *said, *seen, Losses(agree=2.0))["agree"]
    torch.testing.assert_close(twice, 2 * once)
