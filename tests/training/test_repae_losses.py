"""REPA-E's losses against NumPy, and who learns from which."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pathfm.training import _repae_losses as losses
from napari_pathfm.training._repae_codecs import build_codec
from napari_pathfm.training._repae_config import (
    AutoencoderTable,
    DenoiserTable,
    Weights,
)
from napari_pathfm.training._repae_critics import PatchCritic
from napari_pathfm.training._repae_networks import build_denoiser
from napari_pathfm.training._repae_step import (
    Seen,
    denoiser_losses,
    end_to_end_loss,
    reconstruction_losses,
)
from napari_pathfm.training._turn import Turn

CPU = torch.device("cpu")
DIM = 12
KL = AutoencoderTable(kind="kl", widths=(8, 16), channels=4, groups=8)
PLAIN = AutoencoderTable(kind="plain", widths=(8, 8, 16))
SIT = DenoiserTable(
    kind="sit", width=32, depth=3, heads=2, align_depth=2, projector_width=16
)
UNET = DenoiserTable(kind="unet", widths=(32, 32, 32))


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def parts(table=KL, denoiser=SIT, px=16):
    torch.manual_seed(0)
    codec = build_codec(table)
    side = px // codec.downsample
    network = build_denoiser(
        denoiser, channels=codec.channels, side=side, dim=DIM, recompute=False
    )
    for parameter in network.parameters():  # nothing is shut any more
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    images = normal(4, 3, px, px).clamp(-1, 1)
    tokens = normal(4, network.token_side(side) ** 2, DIM, seed=2)
    seen = Seen(normal(4, DIM, seed=1), tokens)
    draws = losses.draw(Turn(0, 0, 4), (codec.channels, side, side), CPU)
    return codec, network, images, seen, draws


def test_path_and_velocity_are_those_of_the_paper():
    x = normal(3, 2, 4, 4)
    draws = losses.draw(Turn(0, 0, 3), (2, 4, 4), CPU)
    t, e = draws.t.numpy()[:, None, None, None], draws.noise.numpy()
    np.testing.assert_allclose(
        losses.noised(x, draws), (1 - t) * x.numpy() + t * e, rtol=1e-5, atol=1e-6
    )
    said = normal(3, 2, 4, 4, seed=5)
    by_hand = ((said.numpy() - (e - x.numpy())) ** 2).mean()
    assert float(losses.flow_loss(said, x, draws)) == pytest.approx(by_hand, rel=1e-5)
    # The true velocity of a path carries every point along it.
    v = draws.noise - x
    torch.testing.assert_close(
        losses.noised(x, draws) - draws.t[:, None, None, None] * v, x
    )


def test_times_are_drawn_as_named_and_a_tenth_of_conditions_is_dropped():
    uniform = losses.draw(Turn(0, 0, 4000), (1, 1, 1), CPU)
    middle = losses.draw(Turn(0, 0, 4000), (1, 1, 1), CPU, times="logit-normal")
    quartiles = np.quantile(uniform.t, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [0.25, 0.5, 0.75], atol=0.03)
    # Quartiles of the logistic function of a normal variable.
    np.testing.assert_allclose(
        np.quantile(middle.t, [0.25, 0.5, 0.75]), [0.3375, 0.5, 0.6625], atol=0.03
    )
    assert float(uniform.drop.float().mean()) == pytest.approx(0.1, abs=0.02)
    assert not losses.draw(Turn(0, 0, 99), (1, 1, 1), CPU, drop=0).drop.any()


def test_conditions_are_blurred_by_their_spread():
    cls, spread = normal(4000, 3), torch.tensor([2.0, 0.5, 0.0])
    turn = Turn(7, 1, 4000)
    found = losses.blurred(cls, spread, 0.25, turn) - cls
    torch.testing.assert_close(found.std(0), 0.25 * spread, rtol=0.03, atol=1e-6)
    torch.testing.assert_close(found, losses.blurred(cls, spread, 0.25, turn) - cls)
    assert abs(float(torch.corrcoef(found[:, :2].T)[0, 1])) < 0.05


def test_alignment_kl_edges_features_and_psnr_by_hand():
    a, b = normal(2, 5, 7), normal(2, 5, 7, seed=1)
    x, y = a.numpy(), b.numpy()
    cosine = (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)
    assert float(losses.alignment_loss(a, b)) == pytest.approx(-cosine.mean(), rel=1e-5)
    assert float(losses.alignment_loss(a, 3 * a)) == pytest.approx(-1)

    mean, logvar = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    m, v = mean.numpy(), np.exp(logvar.numpy())
    kl = 0.5 * (m**2 + v - 1 - np.log(v)).sum() / 2
    assert float(losses.kl_loss(mean, logvar)) == pytest.approx(kl, rel=1e-5)

    p, q = normal(2, 3, 6, 6), normal(2, 3, 6, 6, seed=1)
    pn, qn = p.numpy(), q.numpy()
    right = np.abs(np.diff(pn, axis=3) - np.diff(qn, axis=3)).mean()
    down = np.abs(np.diff(pn, axis=2) - np.diff(qn, axis=2)).mean()
    assert float(losses.edge_loss(p, q)) == pytest.approx((right + down) / 2, rel=1e-5)
    by_hand = np.mean(
        [
            np.abs(pn - qn).mean() / np.abs(qn).mean(),
            np.abs(2 * pn).mean() / np.abs(pn).mean(),
        ]
    )
    found = losses.feature_loss([p, 3 * p], [q, p])
    assert float(found) == pytest.approx(by_hand, rel=1e-5)
    error = ((pn - qn) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(losses.psnr(p, q), 10 * np.log10(4 / error), rtol=1e-5)


def test_hinge_losses_by_hand():
    real, made = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    # Real: 0, 0.5, 2; made: 0, 1, 2.
    assert float(losses.critic_loss(real, made)) == pytest.approx((2.5 / 3 + 3 / 3) / 2)
    assert float(losses.adversary_loss(made)) == pytest.approx(2 / 3)


def test_tokens_are_averaged_by_area():
    patches = normal(1, 16, 16, 3)
    same = losses.tokens_on(patches, 16)
    torch.testing.assert_close(same, patches.flatten(1, 2))
    quarter = losses.tokens_on(patches, 4).view(4, 4, 3)
    by_hand = patches[0].view(4, 4, 4, 4, 3).mean((1, 3))
    torch.testing.assert_close(quarter, by_hand)


def test_latents_are_normalised_by_the_batch_or_by_what_was_gathered():
    codec, _, images, *_ = parts()
    z, _ = codec.latents(images, None)
    unit = codec.normalise(z, learn=True).detach()
    n = z.detach().numpy()
    mean, var = n.mean((0, 2, 3)), n.var((0, 2, 3))
    by_hand = (n - mean[:, None, None]) / np.sqrt(var + 1e-4)[:, None, None]
    np.testing.assert_allclose(unit, by_hand, atol=1e-4)
    # A tenth of the way from 0 and 1, with the unbiased variance.
    count = n.size / n.shape[1]
    np.testing.assert_allclose(
        codec.norm.running_mean, 0.1 * mean, rtol=1e-4, atol=1e-7
    )
    gathered = 0.9 + 0.1 * var * count / (count - 1)
    np.testing.assert_allclose(codec.norm.running_var, gathered, rtol=1e-4)
    before = codec.norm.running_mean.clone()
    codec.normalise(z, learn=False)
    torch.testing.assert_close(codec.norm.running_mean, before)
    codec.gather(z.detach())
    unit = codec.normalise(z, learn=False).detach()
    torch.testing.assert_close(unit.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)


def gradients(module):
    return sum(
        float(p.grad.abs().sum()) for p in module.parameters() if p.grad is not None
    )


@pytest.mark.parametrize(
    ("table", "denoiser", "px"), [(KL, SIT, 16), (PLAIN, UNET, 64)]
)
def test_flow_does_not_reach_the_autoencoder_and_alignment_does(table, denoiser, px):
    codec, network, images, seen, draws = parts(table, denoiser, px)
    z, _ = codec.latents(images, None)
    x = codec.normalise(z, learn=True)
    torch.stack(
        list(denoiser_losses(network, x, seen, draws, Weights()).values())
    ).sum().backward()
    assert gradients(codec) == 0
    assert gradients(network) > 0

    network.zero_grad()
    moved = codec.norm.running_mean.clone()
    end_to_end_loss(network, codec, z, seen, draws).backward()
    encoder = codec.vae.encoder if table is KL else codec.autoencoder.encoder
    decoder = codec.vae.decoder if table is KL else codec.autoencoder.decoder
    assert gradients(encoder) > 0
    assert gradients(decoder) == gradients(network) == 0
    torch.testing.assert_close(codec.norm.running_mean, moved)


def test_critic_and_decoder_learn_apart():
    codec, _, images, *_ = parts()
    torch.manual_seed(0)
    critic = PatchCritic(width=8, halvings=1)
    weights = Weights(l1=0, kl=0, adversary=0.5)
    noise = normal(4, 4, 8, 8)
    found, _, again = reconstruction_losses(
        codec, images, noise, weights, critic=critic, learn=False
    )
    by_hand = -0.5 * critic(again).mean()
    torch.testing.assert_close(found["adversary"], by_hand)
    found["adversary"].backward()
    assert gradients(critic) == 0
    assert gradients(codec.vae.decoder) > 0
    codec.zero_grad()
    losses.critic_loss(critic(images), critic(again.detach())).backward()
    assert gradients(critic) > 0
    assert gradients(codec) == 0


def test_recomputed_blocks_give_the_same_gradients():
    codec, network, images, seen, draws = parts()
    z, _ = codec.latents(images, None)
    x = codec.normalise(z.detach(), learn=False)
    found = []
    for recompute in (False, True):
        network._recompute = recompute
        network.zero_grad()
        denoiser_losses(network, x, seen, draws, Weights())["flow"].backward()
        found.append(network.sit.blocks[0].attn.qkv.weight.grad.clone())
    torch.testing.assert_close(*found)


def test_a_dropped_condition_is_the_learnt_nothing():
    _, network, *_ = parts()
    x, t, cls = normal(2, 4, 8, 8), torch.tensor([0.3, 0.7]), normal(2, DIM, seed=3)
    velocity, _ = network(x, t, cls, torch.tensor([True, False]))
    without, _ = network(x, t, None)
    told, _ = network(x, t, cls)
    torch.testing.assert_close(velocity[0], without[0])
    torch.testing.assert_close(velocity[1], told[1])
    assert not torch.allclose(without, told)


def test_a_fresh_sit_says_nothing_yet_and_its_blocks_are_the_identity():
    network = build_denoiser(SIT, channels=4, side=8, dim=DIM, recompute=False)
    x = normal(2, 4, 8, 8)
    velocity, projected = network(x, torch.rand(2), normal(2, DIM))
    assert not velocity.any()
    entered, _ = network.sit.enter(x, torch.rand(2), normal(2, DIM))
    torch.testing.assert_close(projected, network.sit.projectors[0](entered))
