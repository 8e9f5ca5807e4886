"""Whole fields at once: a token for every patch, where it belongs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from timm.layers import SwiGLUPacked

from napari_pathfm.encoders import ENCODERS, Encoder, load_encoder
from napari_pathfm.encoders._vit import build_vit

H0_MINI = ENCODERS["h0-mini"]
# One narrow block: 12 blocks of 768 take minutes for a field of 16,384 patches.
TWIN = replace(
    H0_MINI,
    arguments={**H0_MINI.arguments, "embed_dim": 32, "depth": 1, "num_heads": 1},
    dim=32,
)


@pytest.fixture(scope="module")
def twin():
    torch.manual_seed(0)
    theirs = timm.create_model(
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
        embed_dim=32,
        depth=1,
        num_heads=1,
    ).eval()
    with torch.no_grad():
        theirs.pos_embed.normal_()
    network = build_vit(TWIN)
    network.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, Encoder(TWIN, network, "test:0", torch.device("cpu"))


def fields(n: int, height: int, width: int) -> np.ndarray:
    shape = (n, height, width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("height", "width"), [(1792, 1792), (224, 1036), (14, 14), (1036, 14)]
)
def test_a_field_equals_timms_own(twin, height, width):
    theirs, encoder = twin
    seen = fields(1, height, width)
    images = torch.from_numpy(seen).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (TWIN.mean, TWIN.std))
    with torch.inference_mode():
        tokens = theirs((images - mean) / std).numpy()
    features = encoder.encode(seen)
    rows, columns = height // 14, width // 14
    assert features.patches.shape == (1, rows, columns, 32)
    wanted = tokens[:, 5:].reshape(1, rows, columns, 32)
    np.testing.assert_allclose(features.patches, wanted, atol=1e-5)
    np.testing.assert_allclose(features.cls, tokens[:, 0], atol=1e-5)


def test_a_patch_is_where_its_pixels_are():
    encoder = load_encoder(device="cpu")
    seen = fields(1, 84, 154)
    before = encoder.encode(seen).patches
    for row, column in ((0, 10), (4, 3), (5, 0)):
        changed = seen.copy()
        changed[0, row * 14 : row * 14 + 14, column * 14 : column * 14 + 14] = 0
        moved = np.abs(encoder.encode(changed).patches - before).sum(3)[0]
        assert moved.shape == (6, 11)
        assert np.unravel_index(moved.argmax(), moved.shape) == (row, column)


def test_fields_go_through_one_by_one_where_tiles_go_in_batches(twin):
    _, encoder = twin
    sizes: list[int] = []
    network = encoder._network

    def counted(images):
        sizes.append(len(images))
        return network(images)

    watched = Encoder(TWIN, network, "test:0", encoder.device, run=counted)
    several = watched.encode(fields(3, 700, 700))
    assert sizes == [1, 1, 1]
    one = encoder.encode(fields(3, 700, 700)[2:])
    np.testing.assert_allclose(several.patches[2:], one.patches, atol=1e-5)
