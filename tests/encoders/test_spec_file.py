"""Encoders that a person describes in a file: exact, strict, and never code."""

from __future__ import annotations

import json
import re
import tomllib
from contextlib import suppress
from pathlib import Path
from random import Random

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import VisionTransformer

from napari_pathfm import load_encoder
from napari_pathfm.cli import main
from napari_pathfm.embeddings import embed_slide, open_store
from napari_pathfm.encoders import (
    ENCODERS,
    EncoderSpec,
    encoder_spec,
    known_encoders,
    read_encoder_spec,
)
from napari_pathfm.encoders._vit import build_vit
from napari_pathfm.errors import (
    PathfmError,
    SpecError,
    StoreError,
    UnknownModelError,
    WeightsError,
)
from napari_pathfm.slides import tile_grid
from napari_pathfm.weights import diagnose, model_status

DOCS = Path(__file__).resolve().parents[2] / "docs" / "adding-an-encoder.md"
SMALL = {"patch_size": 16, "embed_dim": 48, "depth": 2, "num_heads": 3, "reg_tokens": 2}
SPEC = {
    "name": "my-vit",
    "title": "My ViT",
    "weights": "my.safetensors",
    "tile_px": 64,
    "mpp": 1.0,
    "mean": [0.5, 0.6, 0.7],
    "std": [0.1, 0.2, 0.3],
    "arguments": SMALL,
}


def toml(told: dict) -> str:
    """Enough of TOML: JSON's values are TOML's, but for tables."""
    lines = [
        f"{k} = {json.dumps(v)}" for k, v in told.items() if not isinstance(v, dict)
    ]
    for key, table in told.items():
        if isinstance(table, dict):
            lines += [f"[{key}]", *(f"{k} = {json.dumps(v)}" for k, v in table.items())]
    return "\n".join(lines)


def write(folder: Path, told: dict, name: str = "my-vit.toml") -> Path:
    path = folder / name
    text = json.dumps(told) if name.endswith(".json") else toml(told)
    path.write_text(text, encoding="utf-8")
    return path


def save(network, path: Path, **more) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
    save_file({**network.state_dict(), **more}, path)


@pytest.fixture
def described(tmp_path):
    """A file, weights beside it, and the network that timm makes of both."""
    network = VisionTransformer(
        img_size=64,
        patch_size=16,
        embed_dim=48,
        depth=2,
        num_heads=3,
        reg_tokens=2,
        num_classes=0,
        global_pool="",
    ).eval()
    save(network, tmp_path / "my.safetensors")
    return write(tmp_path, SPEC), network


def tokens_of(network, seen, spec) -> np.ndarray:
    images = torch.from_numpy(seen).permute(0, 3, 1, 2).float() / 255
    shape = (1, 3, 1, 1)
    images = (images - torch.tensor(spec.mean).view(shape)) / torch.tensor(
        spec.std
    ).view(shape)
    with torch.inference_mode():
        return network(images).numpy()


def tiles(px=64, n=2):
    return np.random.default_rng(0).integers(0, 256, (n, px, px, 3), np.uint8)


def test_a_described_encoder_equals_timms_network(described):
    path, network = described
    encoder = load_encoder(str(path), device="cpu", precision="fp32")
    wanted = tokens_of(network, tiles(), encoder.spec)
    features = encoder.encode(tiles())
    np.testing.assert_allclose(features.cls, wanted[:, 0], atol=1e-5)
    np.testing.assert_allclose(
        features.patches, wanted[:, 3:].reshape(2, 4, 4, 48), atol=1e-5
    )
    assert encoder.spec.source == path
    assert encoder.revision == f"local:{encoder.revision[6:18]}+{encoder.spec.digest}"


def test_linear_layers_follow_the_norm_where_the_file_says_so(described, tmp_path):
    _, plain = described
    told = {**SPEC, "arguments": {**SMALL, "projected": True}}
    path = write(tmp_path, told, "projected.toml")
    kept = plain.state_dict()
    kept = {re.sub(r"^norm\.", "norm.0.", key): value for key, value in kept.items()}
    tile, patch = torch.randn(2, 48, 48, generator=torch.Generator().manual_seed(1))
    more = {"tile.weight": tile, "patch.weight": patch}
    more |= {"tile.bias": torch.ones(48), "patch.bias": -torch.ones(48)}
    tensors = {**kept, **{f"norm.1.{key}": value for key, value in more.items()}}
    save_file({k: v.clone() for k, v in tensors.items()}, tmp_path / "my.safetensors")
    encoder = load_encoder(str(path), device="cpu", precision="fp32")
    tokens = tokens_of(plain, tiles(), encoder.spec)
    features = encoder.encode(tiles())
    cls, patches = (
        tokens[:, 0] @ tile.numpy().T + 1,
        tokens[:, 3:] @ patch.numpy().T - 1,
    )
    np.testing.assert_allclose(features.cls, cls, atol=1e-4)
    np.testing.assert_allclose(
        features.patches, patches.reshape(2, 4, 4, 48), atol=1e-4
    )


def test_json_says_the_same_and_has_the_same_digest(described, tmp_path):
    told = {k: SPEC[k] for k in reversed(SPEC)}
    other = read_encoder_spec(write(tmp_path, told, "my-vit.json"))
    first = read_encoder_spec(described[0])
    assert other.digest == first.digest
    assert other.arguments == first.arguments


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"title": "Another", "licence": "MIT", "weights": "b", "name": "b"}, True),
        ({"mpp": 0.5}, False),
        ({"mean": [0.5, 0.6, 0.71]}, False),
        ({"arguments": {**SMALL, "init_values": 1e-5}}, False),
    ],
)
def test_the_digest_is_of_what_decides_the_features(tmp_path, change, same):
    first = read_encoder_spec(write(tmp_path, SPEC))
    other = read_encoder_spec(write(tmp_path, {**SPEC, **change}, "other.toml"))
    assert (first.digest == other.digest) is same


# A rotary architecture keeps what no checkpoint has; the other has a classifier.
@pytest.mark.parametrize(
    ("architecture", "prefix", "more"),
    [
        ("vit_small_patch16_dinov3", 5, {}),
        ("vit_small_patch16_224", 1, {"head.weight": torch.zeros(2, 48)}),
    ],
)
def test_an_architecture_of_timms(tmp_path, architecture, prefix, more):
    small = {"embed_dim": 48, "depth": 2, "num_heads": 3}
    network = timm.create_model(
        architecture,
        num_classes=0,
        global_pool="",
        img_size=64,
        **small,
    ).eval()
    save(network, tmp_path / "my.safetensors", **more)
    told = {
        **SPEC,
        "architecture": architecture,
        "patch_px": 16,
        "dim": 48,
        "prefix_tokens": prefix,
        "arguments": small,
        **({"ignore": list(more)} if more else {}),
    }
    path = write(tmp_path, told)
    encoder = load_encoder(path, device="cpu", precision="fp32")
    wanted = tokens_of(network, tiles(), encoder.spec)
    features = encoder.encode(tiles())
    np.testing.assert_allclose(features.cls, wanted[:, 0], atol=1e-5)
    np.testing.assert_allclose(
        features.patches, wanted[:, prefix:].reshape(2, 4, 4, 48), atol=1e-5
    )


def test_a_position_embedding_of_another_side(tmp_path):
    network = VisionTransformer(
        img_size=96,
        patch_size=16,
        embed_dim=48,
        depth=2,
        num_heads=3,
        reg_tokens=2,
        num_classes=0,
        global_pool="",
        dynamic_img_size=True,
    ).eval()
    save(network, tmp_path / "my.safetensors")
    with pytest.raises(WeightsError, match="pos_embed"):
        load_encoder(write(tmp_path, SPEC))
    path = write(tmp_path, {**SPEC, "position_px": 96})
    encoder = load_encoder(path, device="cpu", precision="fp32")
    wanted = tokens_of(network, tiles(), encoder.spec)
    np.testing.assert_allclose(encoder.encode(tiles()).cls, wanted[:, 0], atol=1e-5)


def without(key: str) -> dict:
    return {k: v for k, v in SPEC.items() if k != key}


def argued(**changes) -> dict:
    return {**SPEC, "arguments": {**SMALL, **changes}}


def named(**changes) -> dict:
    """A spec that names an architecture of timm's, small."""
    return {
        **SPEC,
        "architecture": "vit_small_patch16_224",
        "arguments": {"embed_dim": 48, "depth": 2, "num_heads": 3},
        **changes,
    }


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (without("name"), "name: is missing"),
        (without("mean"), "mean: is missing"),
        (without("arguments"), r"arguments\.patch_size: is missing"),
        ({**SPEC, "nmae": "x"}, "nmae: there is no such key; is name meant"),
        (argued(patchsize=16), r"arguments\.patchsize: .* is patch_size meant"),
        (argued(act_layer="os.system"), r"arguments\.act_layer: there is no such key"),
        ({**SPEC, "name": "H0/../x"}, "name: use a-z"),
        ({**SPEC, "name": "h0-mini"}, "name: 'h0-mini' is taken"),
        ({**SPEC, "tile_px": 60}, "tile_px: 60 is no multiple of 16"),
        ({**SPEC, "tile_px": "64"}, "tile_px: must be a whole number, not '64'"),
        ({**SPEC, "tile_px": True}, "tile_px: must be a whole number, not True"),
        ({**SPEC, "tile_px": 10**9}, "tile_px: must be at least 1 and at most"),
        ({**SPEC, "mpp": 0}, "mpp: must be finite and above 0, not 0"),
        ({**SPEC, "mpp": False}, "mpp: must be a number"),
        ({**SPEC, "mpp": 10**400}, "mpp: must be finite and above 0"),
        ({**SPEC, "mpp": "x" * 999}, r"mpp: must be a number, not .{,40}$"),
        ({**SPEC, "mean": [0.5, 0.5]}, "mean: must be three numbers"),
        ({**SPEC, "std": [0.1, 0.1, 0]}, "std: must be finite and above 0"),
        ({**SPEC, "title": ["x"]}, "title: must be text"),
        ({**SPEC, "title": "a\nb"}, "title: must be one line"),
        ({**SPEC, "arguments": 3}, "arguments: must be a table"),
        ({**SPEC, "pooling": "max"}, "pooling: must be one of cls, cls.mean"),
        ({**SPEC, "layout": "keras"}, "layout: must be one of timm, transformers"),
        ({**SPEC, "ignore": "head"}, "ignore: must be a list"),
        ({**SPEC, "dim": 64}, "dim: 64, but by `arguments` it is 48"),
        ({**SPEC, "hub_repo": "https://x/y"}, "hub_repo: .* is not OWNER/NAME"),
        ({**SPEC, "weight_files": ["../x.bin"]}, "weight_files: .* no plain file name"),
        (argued(num_heads=5), r"arguments\.num_heads: 48 is no multiple"),
        (argued(depth=10_000), r"arguments\.depth: must be at least 1"),
        (named(), "patch_px: is missing: with `architecture`"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_what_cannot_be_is_refused_by_its_key(tmp_path, told, says, suffix):
    path = write(tmp_path, told, f"bad.{suffix}")
    with pytest.raises(SpecError, match=says) as caught:
        load_encoder(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.toml", b"name = ", "no valid TOML"),
        ("a.json", b"{", "no valid JSON"),
        ("a.json", b"[1]", "no table"),
        ("a.json", b'{"name": null}', "name: is null"),
        ("a.json", b'{"name": "a", "mpp": NaN}', "NaN is no number"),
        ("a.json", b'{"name": "a", "name": "b"}', "'name' stands there twice"),
        ("a.json", b"[" * 60_000, "no valid JSON"),
        ("a.toml", b"\xff\xfe", "no valid TOML"),
        ("a.toml", b"#" * 70_000, "too large"),
        ("a.yaml", b"name: x", "neither .toml nor .json"),
    ],
)
def test_files_that_are_none(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SpecError, match=says) as caught:
        read_encoder_spec(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(SpecError, match="does not exist"):
        load_encoder(tmp_path / "gone.toml")


def test_whatever_is_written_is_read_or_refused_in_one_line(tmp_path):
    """Bytes changed, left out and put in: no other error, and no other lines."""
    random = Random(0)
    wholes = {".json": json.dumps(SPEC).encode(), ".toml": toml(SPEC).encode()}
    refused = 0
    for number in range(2_000):
        suffix = (".toml", ".json")[number % 2]
        content = bytearray(wholes[suffix])
        for _ in range(random.randint(1, 3)):
            at = random.randrange(len(content))
            piece = random.choice(
                [
                    b"",
                    b'"',
                    b"\n",
                    b"\\n",
                    b"[",
                    b"}",
                    b"-",
                    b"9" * 400,
                    b"\xff",
                    b"null",
                ]
            )
            content[at : at + random.choice((0, 1, 8))] = piece
        path = tmp_path / f"any{suffix}"
        path.write_bytes(content)
        with suppress(SpecError):
            read_encoder_spec(path)
            continue
        with pytest.raises(SpecError) as caught:
            read_encoder_spec(path)
        refused += 1
        said = str(caught.value)
        assert said.startswith(str(path))
        assert said.isprintable()
        assert len(said) < 400 + len(str(path))
    assert refused > 1_000


STATED = {"patch_px": 16, "dim": 48, "prefix_tokens": 1}


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (named(**STATED, architecture="vit_nowhere"), "architecture: timm .* has no"),
        (
            named(**STATED, architecture="hf-hub:evil/vit_small_patch16_224"),
            "architecture: timm .* has no",
        ),
        (named(**STATED, architecture="resnet18", arguments={}), "arguments: resnet18"),
        (named(**{**STATED, "dim": 64}), "dim: vit_small_patch16_224 has 48"),
        (named(**{**STATED, "prefix_tokens": 5}), "prefix_tokens: .* has 1"),
        (named(**{**STATED, "patch_px": 32}), "patch_px: .* has 16"),
        (
            named(
                **{**STATED, "prefix_tokens": 1},
                arguments={"embed_dim": 48, "depth": 2, "num_heads": 5},
            ),
            "arguments: vit_small_patch16_224 cannot be built so",
        ),
        ({**SPEC, "parameters": 7}, r"parameters: the network has [\d,]+, not 7"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_built_is_what_was_stated(described, tmp_path, told, says):
    path = write(tmp_path, told)
    with pytest.raises(SpecError, match=says) as caught:
        load_encoder(path)
    assert "\n" not in str(caught.value)


def test_weights_are_strict_and_may_be_missing(described, tmp_path):
    path, network = described
    save(network, tmp_path / "my.safetensors", **{"head.bias": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"unexpected \(head.bias\)"):
        load_encoder(path)
    load_encoder(write(tmp_path, {**SPEC, "ignore": ["head.bias"]}))
    with pytest.raises(WeightsError, match=r"no tensor 'haed.bias'"):
        load_encoder(write(tmp_path, {**SPEC, "ignore": ["haed.bias"]}))
    (tmp_path / "my.safetensors").unlink()
    with pytest.raises(WeightsError, match="does not exist"):
        load_encoder(write(tmp_path, SPEC))
    with pytest.raises(WeightsError, match="add `weights` or `hub_repo` to"):
        load_encoder(write(tmp_path, without("weights")))


def test_weights_of_ones_own_choice_go_first(described, tmp_path):
    other = tmp_path / "other.safetensors"
    other.write_bytes((tmp_path / "my.safetensors").read_bytes())
    path = write(tmp_path, {**SPEC, "weights": "gone.safetensors"})
    assert load_encoder(path, weights=other, device="cpu").spec.name == "my-vit"


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_PATHFM_CONFIG", str(tmp_path / "config"))
    folder = tmp_path / "config" / "encoders"
    folder.mkdir(parents=True)
    return folder


def test_files_of_the_settings_folder_have_names(described, own_folder):
    _, network = described
    save(network, own_folder / "my.safetensors")
    write(own_folder, SPEC)
    write(own_folder, {**SPEC, "mpp": -1, "name": "broken"}, "broken.toml")
    write(own_folder, SPEC, "twice.toml")
    (own_folder / "notes.txt").write_text("not one")
    known, refused = known_encoders()
    assert list(known) == [*ENCODERS, "my-vit"]
    assert [p.name for p in refused] == ["broken.toml", "twice.toml"]
    assert load_encoder("my-vit", device="cpu").spec.source.parent == own_folder
    with pytest.raises(SpecError, match="mpp: must be finite and above 0"):
        encoder_spec("broken")
    with pytest.raises(UnknownModelError, match="my-vit"):
        encoder_spec("nothing")


def test_the_doctor_knows_it(described, tmp_path):
    spec = encoder_spec(described[0])
    assert model_status(spec) == "local"
    assert diagnose(spec, device="cpu").usable
    (tmp_path / "my.safetensors").write_bytes(b"")
    assert not diagnose(spec, device="cpu").usable
    (tmp_path / "my.safetensors").unlink()
    assert model_status(spec) == "absent"


def test_the_list_shows_it_and_says_what_it_leaves_out(described, own_folder, capsys):
    write(own_folder, SPEC)
    bad = write(own_folder, {**SPEC, "name": "x y"}, "bad.toml")
    assert main(["models", "--json"]) == 0
    printed = capsys.readouterr()
    rows = {r["name"]: r for r in json.loads(printed.out) if r["kind"] == "encoder"}
    assert rows["my-vit"]["status"] == "absent"
    assert rows["my-vit"]["spec_file"] == str(own_folder / "my-vit.toml")
    assert rows["h0-mini"]["spec_file"] is None
    assert printed.err.splitlines() == [
        f"napari-pathfm: left out: {bad}: name: use a-z, 0-9, - and _, at most 48 of "
        "them"
    ]
    assert main(["models", "doctor", str(described[0]), "--device", "cpu"]) == 0


def test_embed_by_a_file_and_its_digest_in_the_store(
    described, slide, tmp_path, capsys
):
    path, _ = described
    out = tmp_path / "out"
    ask = ["embed", str(slide.path), "--encoder", str(path), "--out", str(out)]
    assert main([*ask, "--device", "cpu", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    store = open_store(told["store"])
    spec = encoder_spec(path)
    assert store.attrs["encoder"] == "my-vit"
    assert store.attrs["encoder_spec"] == spec.digest
    assert store.features.shape[1] == 48
    # The same weights under another normalisation are not gone on with.
    changed = load_encoder(write(tmp_path, {**SPEC, "mean": [0.4, 0.4, 0.4]}))
    grid = tile_grid(slide, px=64, mpp=1.0)
    with pytest.raises(StoreError, match="another description of the encoder"):
        embed_slide(slide, changed, told["store"], grid=grid)
    assert main(["embed", str(slide.path), "--encoder", "gone.toml"]) == 1
    assert capsys.readouterr().err == "napari-pathfm: gone.toml does not exist\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCS.read_text(), re.M | re.S)


def test_the_documents_own_file_works(tmp_path):
    first = blocks("toml")[0]
    path = tmp_path / "my-vit.toml"
    path.write_text(first)
    spec = read_encoder_spec(path)
    save(build_vit(spec), tmp_path / tomllib.loads(first)["weights"])
    features = load_encoder(path, device="cpu").encode(tiles(224, 1))
    assert features.cls.shape == (1, 384)
    assert features.patches.shape == (1, 14, 14, 384)


def test_the_documents_architecture_is_as_stated(tmp_path):
    path = tmp_path / "second.toml"
    path.write_text(blocks("toml")[1])
    spec = read_encoder_spec(path)
    with torch.device("meta"):
        network = build_vit(spec)
    # 518 px are 37 patches a side; DINOv2 embeds no position of CLS and registers.
    assert network.pos_embed.shape == (1, 37 * 37, 384)
    assert spec.hub_repo == "timm/vit_small_patch14_reg4_dinov2.lvd142m"


def test_the_documents_entry_is_one_file_and_one_line(monkeypatch, tmp_path):
    scope: dict = {}
    exec(blocks("python")[1], scope)
    entry: EncoderSpec = scope["MINE"]
    with torch.device("meta"):
        network = build_vit(entry)
    assert sum(p.numel() for p in network.parameters()) == entry.parameters
    monkeypatch.setitem(ENCODERS, entry.name, entry)
    save(build_vit(entry), tmp_path / "model.safetensors")
    encoder = load_encoder("mine", weights=tmp_path, device="cpu")
    assert encoder.encode(tiles(224, 1)).cls.shape == (1, 384)
    with pytest.raises(PathfmError, match="mine"):
        read_encoder_spec(
            write(tmp_path, {**SPEC, "name": "mine"}), taken=known_encoders()[0]
        )
