"""H0-mini's exact architecture, random weights: the default path over a plain loop.

``python benchmarks/encoders.py [--device D] [--tiles N] [--rounds R]`` prints Markdown
tables; under five minutes on two cores, 4 GiB of memory and 0.4 GB of disk for a while.
It runs on a GPU unchanged. OpenVINO takes part where it is installed. With
``--field PX`` one square field of that side is encoded instead, densely.

The plain loop is what the model's users write: torchvision's ``ToTensor`` and
``Normalize`` for each tile, batches of 32 (8 on a CPU), timm's network in fp32, and the
CLS token on the host. The default path is ``load_encoder`` and ``Encoder.encode``: from
uint8 tiles to every token on the host.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import save_file
from timm.layers import SwiGLUPacked
from torchvision import transforms

from napari_pathfm import load_encoder
from napari_pathfm.encoders import ENCODERS, choose_device
from napari_pathfm.encoders._precision import real_tiles

SPEC = ENCODERS["h0-mini"]
TOKENS = 16 * 16 + 5


def seconds(work, device) -> float:
    """Time one call, with what it has left to the device."""
    wait(device)
    began = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - began


def wait(device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def independent() -> torch.nn.Module:
    """H0-mini as its users build it, with layer scale that lets blocks matter."""
    torch.manual_seed(0)
    return timm.create_model(
        "vit_base_patch14_reg4_dinov2",
        pretrained=False,
        img_size=224,
        init_values=0.5,
        num_classes=0,
        mlp_ratio=5.33334,
        mlp_layer=SwiGLUPacked,
        act_layer=torch.nn.SiLU,
        global_pool="",
        dynamic_img_size=True,
    ).eval()


def flops_a_tile(network) -> float:
    """Multiplications and additions of the matrix products in one forward pass."""
    weights = [m.weight for m in network.modules() if isinstance(m, torch.nn.Linear)]
    linear = 2 * TOKENS * sum(w.numel() for w in weights)
    patches = 2 * 16 * 16 * network.patch_embed.proj.weight.numel()
    attention = 4 * TOKENS**2 * SPEC.dim * len(network.blocks)
    return linear + patches + attention


def matmul_rate(device, dtype) -> float:
    """FLOP/s of the best of several products of large square matrices."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    a @ b
    return 2 * side**3 / min(seconds(lambda: a @ b, device) for _ in range(5))


def plain_loop(network, tiles, device) -> np.ndarray:
    prepare = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize(SPEC.mean, SPEC.std)]
    )
    size = 8 if device.type == "cpu" else 32
    features = []
    for start in range(0, len(tiles), size):
        part = torch.stack([prepare(tile) for tile in tiles[start : start + size]])
        with torch.inference_mode():
            features.append(network(part.to(device))[:, 0].cpu().numpy())
    return np.concatenate(features)


def openvino_path(network, hint: str, forward):
    """OpenVINO on the same uint8 tiles, in batches of 8; None where it is not there."""
    try:
        import openvino
    except ImportError:
        return None
    example = torch.zeros(8, 3, 224, 224)
    with warnings.catch_warnings():
        # timm looks at shapes while it is traced; they are those of every tile here.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        model = openvino.convert_model(network, example_input=example)
    model.reshape([-1, 3, 224, 224])
    options = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    compiled = openvino.Core().compile_model(model, "CPU", options)

    def run(tiles) -> np.ndarray:
        found = []
        for start in range(0, len(tiles), 8):
            images = forward.images(tiles[start : start + 8]).contiguous().numpy()
            found.append(compiled(images)[0][:, 0].copy())
        return np.concatenate(found)

    return run


def least_cosine(a, b) -> float:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(1) / norms).min())


def name_of(device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    has = getattr(torch.cpu, "get_capabilities", dict)()
    kinds = [k for k in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16") if has.get(k)]
    threads = torch.get_num_threads()
    return f"{has.get('cpu_name', device.type)}, {threads} threads, {' '.join(kinds)}"


def dense(encoder, px: int) -> None:
    """Encode one field, and say what it took."""
    field = real_tiles(px)[:1]
    spent = time.process_time()
    took = seconds(lambda: encoder.encode(field), encoder.device)
    spent = time.process_time() - spent
    print(
        f"{px} x {px} px, {(px // SPEC.patch_px) ** 2:,} patches: {took:.1f} s, "
        f"{spent:.1f} s of the processor"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tiles", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--field", type=int, metavar="PX")
    options = parser.parse_args()
    device = choose_device(options.device)
    count = options.tiles or (8 if device.type == "cpu" else 2048)
    tiles = np.resize(real_tiles(224), (count, 224, 224, 3))
    network = independent()
    with tempfile.TemporaryDirectory() as folder:
        save_file(network.state_dict(), Path(folder) / "model.safetensors")
        began = time.perf_counter()
        encoder = load_encoder("h0-mini", weights=folder, device=options.device)
        loaded = time.perf_counter()
        encoder.encode(tiles[:1])
        first = time.perf_counter()
        if options.field:
            dense(encoder, options.field)
            return
        paths = {"plain loop": lambda: plain_loop(network, tiles, device)}
        default = f"default ({encoder.precision.name})"
        paths[default] = lambda: encoder.encode(tiles).cls
        if encoder.precision.name != "fp32":
            exact = load_encoder(
                "h0-mini", weights=folder, device=options.device, precision="fp32"
            )
            paths["fp32"] = lambda: exact.encode(tiles).cls
    print(f"{name_of(device)}; PyTorch {torch.__version__}; {encoder.precision.why}\n")
    print(
        f"loaded in {loaded - began:.2f} s, first tile {first - loaded:.2f} s later\n"
    )
    if device.type == "cpu":
        single = encoder if encoder.precision.name == "fp32" else exact
        hints = ["f32"] if encoder.precision.name == "fp32" else ["f32", "bf16"]
        for hint in hints:
            run = openvino_path(network, hint, single._forward)
            if run is not None:
                paths[f"OpenVINO {hint}"] = lambda run=run: run(tiles)
    network.to(device)
    forward = encoder._forward
    answers = {name: work() for name, work in paths.items()}
    times: dict[str, list[float]] = {name: [] for name in paths}
    prepared = []
    for _ in range(options.rounds):
        for name, work in paths.items():
            times[name].append(seconds(work, device))
        prepared.append(seconds(lambda: forward.images(tiles), device))
    own = encoder.precision.name
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, own: forward.dtype}
    rates = {name: matmul_rate(device, dtype) for name, dtype in dtypes.items()}
    flops = flops_a_tile(network)
    medians = {name: statistics.median(v) for name, v in times.items()}
    print(f"{count} tiles a round, median of {options.rounds} interleaved rounds\n")
    print("| path | tiles/s | over the plain loop | CLS cosine to it | GFLOP/s |")
    print("|---|---|---|---|---|")
    for name, value in medians.items():
        cosine = least_cosine(answers["plain loop"], answers[name])
        print(
            f"| {name} | {count / value:.2f} | {medians['plain loop'] / value:.2f} | "
            f"{cosine:.5f} | {count / value * flops / 1e9:.0f} |"
        )
    share = count / medians[default] * flops / rates[own]
    products = ", ".join(f"{k} {v / 1e9:.1f} GFLOP/s" for k, v in rates.items())
    print(
        f"\n{flops / 1e9:.1f} GFLOP a tile; matrix products here: {products}. "
        f"The default path reaches {share:.0%} of the {own} rate."
    )
    portion = statistics.median(prepared) / medians[default]
    each = statistics.median(prepared) / count * 1e3
    print(f"Normalising takes {each:.3f} ms a tile, {portion:.2%} of the default path.")


if __name__ == "__main__":
    main()
