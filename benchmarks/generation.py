"""Generation: how fast, and what fewer passes of the network cost.

``python benchmarks/generation.py speed`` times SiT-XL/2 with random weights (28 x 28
latents, a feature of 768 as condition) and an autoencoder of Stable Diffusion's size
against the same network put together from timm's parts. Two to four minutes, 4 GiB.

``python benchmarks/generation.py quality DATA [N]`` compares samplers and passes of the
bundled generator on N places (16: under five minutes on two cores) of the slides below
DATA. With more than 24 places the 250 steps of the SDE are left out, which take most of
the time: N = 100 takes nine minutes.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_pathfm.generators._sampling import follow, guided, scheduler_for

GUIDANCE, INTERVAL = 2.5, (0.0, 0.75)
SIDE, CONDITION = 28, 768


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        from timm.models.vision_transformer import Attention, Mlp

        self.norm1 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.attn = Attention(width, num_heads=heads, qkv_bias=True)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.mlp = Mlp(width, 4 * width, act_layer=lambda: nn.GELU(approximate="tanh"))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x, c):
        m = self.adaLN_modulation(c).unsqueeze(1).chunk(6, dim=2)
        x = x + m[2] * self.attn(self.norm1(x) * (1 + m[1]) + m[0])
        return x + m[5] * self.mlp(self.norm2(x) * (1 + m[4]) + m[3])


class Reference(nn.Module):
    """SiT-XL/2 of timm's parts, as the reference implementation is."""

    def __init__(self, width: int = 1152, heads: int = 16, depth: int = 28) -> None:
        super().__init__()
        from timm.models.vision_transformer import PatchEmbed

        self.x_embedder = PatchEmbed(SIDE, 2, 4, width)
        self.t_embedder = nn.Module()
        self.t_embedder.mlp = nn.Sequential(
            nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.y_embedder = nn.Module()
        self.y_embedder.proj = nn.Linear(CONDITION, width)
        self.y_embedder.null = nn.Parameter(torch.zeros(width))
        self.pos_embed = nn.Parameter(torch.zeros(1, (SIDE // 2) ** 2, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.final_layer = nn.Module()
        self.final_layer.linear = nn.Linear(width, 16)
        self.final_layer.adaLN_modulation = nn.Sequential(
            nn.SiLU(), nn.Linear(width, 2 * width)
        )
        self.bn = nn.BatchNorm2d(4, eps=1e-4, affine=False)

    def forward(self, x, t, condition, drop=None):
        rates = torch.exp(-math.log(10000) * torch.arange(128) / 128)
        angles = t[:, None] * rates
        told = self.y_embedder.proj(condition)
        if drop is not None:
            told = torch.where(drop[:, None], self.y_embedder.null, told)
        c = self.t_embedder.mlp(torch.cat([angles.cos(), angles.sin()], -1)) + told
        x = self.x_embedder(x) + self.pos_embed
        for block in self.blocks:
            x = block(x, c)
        shift, scale = self.final_layer.adaLN_modulation(c).chunk(2, dim=1)
        x = nn.functional.layer_norm(x, x.shape[-1:], eps=1e-6)
        x = self.final_layer.linear(x * (1 + scale[:, None]) + shift[:, None])
        half = SIDE // 2
        x = x.reshape(len(x), half, half, 2, 2, 4)
        return torch.einsum("nhwpqc->nchpwq", x).reshape(-1, 4, SIDE, SIDE)


def native_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 itself; elsewhere it is slower."""
    flags = Path("/proc/cpuinfo")
    text = flags.read_text() if flags.exists() else ""
    return "avx512_bf16" in text or "amx_bf16" in text


def seconds(work) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def speed(rounds: int = 3) -> None:
    from diffusers import AutoencoderKL

    from napari_pathfm.generators._sit_weights import build_sit

    torch.manual_seed(0)
    reference = Reference().eval().requires_grad_(False)
    for parameter in reference.parameters():
        nn.init.normal_(parameter, std=0.02)
    own = build_sit(reference.state_dict(), Path("random"))

    def native(x, t, condition, drop):
        return own(x, t, condition, drop, return_dict=False)[0]

    networks = {"reference, fp32": reference, "native, fp32": native}
    if native_bf16():
        half = build_sit(reference.state_dict(), Path("random"), dtype=torch.bfloat16)

        def native_half(x, t, condition, drop):
            x = x.to(torch.bfloat16)
            return half(x, t, condition, drop, return_dict=False)[0].float()

        networks["native, bf16"] = native_half
    else:
        print("bf16 is left out: this CPU does not multiply it natively")

    def inputs(n):
        x, t = torch.randn(n, 4, SIDE, SIDE), torch.full((n,), 0.5)
        return x, t, torch.randn(n, CONDITION), torch.arange(n) >= 1

    with torch.inference_mode():
        given = inputs(2)
        expected = reference(*given)
        for name, network in networks.items():
            apart = float((network(*given) - expected).abs().max() / expected.std())
            print(f"{name}: largest difference {apart:.1e} of a standard deviation")
        times: dict[tuple[str, int], list[float]] = {}
        for _ in range(rounds):
            for n in (1, 2):
                for name, network in networks.items():
                    given = inputs(n)
                    took = seconds(lambda f=network, g=given: f(*g))
                    times.setdefault((name, n), []).append(took)
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        ).eval()
        latents = torch.randn(1, 4, SIDE, SIDE)
        vae.decode(latents)
        decode = statistics.median(
            seconds(lambda: vae.decode(latents)) for _ in range(rounds)
        )
        print(f"decode: {decode:.2f} s")
        per = {key: statistics.median(took) for key, took in times.items()}
        # 250 SDE steps: 185 inside the interval, as one batch of two; 65 outside.
        base = 65 * per["reference, fp32", 1] + 185 * per["reference, fp32", 2] + decode
        for name in networks:
            one, two = per[name, 1], per[name, 2]
            whole, fast = 65 * one + 185 * two + decode, 7 * one + 18 * two + decode
            print(
                f"{name}: {one:.2f} s a pass, {two:.2f} s a guided pair; "
                f"250 steps {whole:.0f} s ({base / whole:.2f} x), "
                f"fast, 25 steps {fast:.0f} s ({base / fast:.1f} x)"
            )
        told, steps = torch.randn(1, CONDITION), 4
        for name, network in networks.items():
            draws = torch.Generator().manual_seed(0)
            velocity = guided(network, told, GUIDANCE, INTERVAL)
            noise = torch.randn(1, 4, SIDE, SIDE, generator=draws)
            took = seconds(
                lambda v=velocity, z=noise, d=draws: vae.decode(
                    follow(v, z, scheduler_for("sde", steps), steps, generator=d)
                )
            )
            # Of four times 1, 0.68, 0.36 and 0.04, three are guided.
            derived = per[name, 1] + 3 * per[name, 2] + decode
            print(f"{name}: {steps} SDE steps {took:.1f} s, derived {derived:.1f} s")


ROWS = (
    ("sde", 250),
    ("heun", 25),
    ("euler", 25),
    ("dpm", 25),
    ("dpm", 12),
    ("dpm", 8),
)
#: Principal components of real tiles in which distributions are compared.
COMPONENTS = 8


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of two Gaussians fitted to rows."""
    from scipy.linalg import sqrtm

    cov = [np.cov(x, rowvar=False) for x in (a, b)]
    mixed = sqrtm(cov[0] @ cov[1]).real
    apart = ((a.mean(0) - b.mean(0)) ** 2).sum()
    return float(apart + np.trace(cov[0] + cov[1] - 2 * mixed))


def cosines(a: np.ndarray, b: np.ndarray) -> float:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / norms).mean())


def quality(data: Path, n: int) -> None:
    from napari_pathfm import load_encoder, load_generator, open_slide, tile_grid

    encoder, generator = load_encoder(device="cpu"), load_generator(device="cpu")
    tiles = []
    for path, mpp in (
        (data / "slides" / "CMU-1-Small-Region.svs", None),
        (data / "slides" / "TCGA-CR-7395-01A-01-TS1.svs", 0.5),
    ):
        with open_slide(path, mpp=mpp) as slide:
            grid = tile_grid(slide)
            chosen = np.random.default_rng(0).permutation(len(grid))[: 150 + n // 2]
            tiles += [t for _, t in slide.tiles(grid, indices=np.sort(chosen))]
    real = np.concatenate(tiles)
    features = encoder.encode(real).cls
    order = np.random.default_rng(1).permutation(len(real))
    told, others = features[order[:n]], features[order[n:]]
    # The tiles that condition the images are left out of what these are compared with.
    mean = others.mean(0)
    axes = np.linalg.svd(others - mean, full_matrices=False)[2][:COMPONENTS]

    def inside(x):
        return (x - mean) @ axes.T

    floor = [
        frechet(inside(others[p[:n]]), inside(others[p[n:]]))
        for p in (np.random.default_rng(s).permutation(len(others)) for s in range(5))
    ]
    print(
        f"{n} images a row, {len(others)} real tiles; floor: {n} real tiles, "
        f"distance {np.mean(floor):.1f}; "
        f"the {n} conditions' own tiles {frechet(inside(told), inside(others)):.1f}"
    )
    print("| sampler | steps | passes | s | to real | to 250 SDE | cosine | Heun's |")
    print("|---|---|---|---|---|---|---|---|")
    made: dict[tuple[str, int], np.ndarray] = {}
    lines = []
    for sampler, steps in ROWS if n <= 24 else ROWS[1:]:
        passes = count_passes(sampler, steps)
        begin = time.perf_counter()
        images = generator.generate(told, seed=0, sampler=sampler, steps=steps)
        took = (time.perf_counter() - begin) / n
        seen = encoder.encode(np.stack([i.pixels for i in images])).cls
        made[sampler, steps] = seen
        lines.append((sampler, steps, passes, took, seen))
    against = made.get(("sde", 250))
    for sampler, steps, passes, took, seen in lines:
        to_sde = (
            "-" if against is None else f"{frechet(inside(seen), inside(against)):.1f}"
        )
        print(
            f"| {sampler} | {steps} | {passes} | {took:.2f} "
            f"| {frechet(inside(seen), inside(others)):.1f} "
            f"| {to_sde} "
            f"| {cosines(seen, told):.3f} | {cosines(seen, made['heun', 25]):.3f} |"
        )


def count_passes(sampler: str, steps: int) -> int:
    """Passes of the network for one image, guidance counted twice."""
    passes = 0

    def network(x, t, condition, drop):
        nonlocal passes
        passes += len(x)
        return x * 0

    velocity = guided(network, torch.ones(1, 1), GUIDANCE, INTERVAL)
    draws = torch.Generator() if sampler == "sde" else None
    x = torch.zeros(1, 1, 1, 1)
    follow(velocity, x, scheduler_for(sampler, steps), steps, generator=draws)
    return passes


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["speed"]:
            speed()
        case ["quality", folder, *more]:
            quality(Path(folder), int(more[0]) if more else 16)
        case _:
            sys.exit(__doc__)
