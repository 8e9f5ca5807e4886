"""An encoder small enough that protocols can be tried on one core."""

from __future__ import annotations

import dataclasses

import pytest


@pytest.fixture(scope="session")
def encoder():
    """One block of 24 numbers with random weights: it sees colour and texture."""
    import torch

    from napari_pathfm.encoders import Encoder, encoder_spec
    from napari_pathfm.encoders._vit import build_vit

    bundled = encoder_spec("bundled")
    arguments = bundled.arguments | {"embed_dim": 24, "depth": 1, "num_heads": 1}
    spec = dataclasses.replace(
        bundled, name="small", arguments=arguments, dim=24, parameters=0
    )
    torch.manual_seed(0)
    return Encoder(spec, build_vit(spec), "random:0", torch.device("cpu"))


@pytest.fixture
def in_the_shell(encoder, monkeypatch):
    """The verbs load the small encoder, whichever was asked for."""
    monkeypatch.setattr(
        "napari_pathfm.encoders.load_encoder", lambda *_args, **_options: encoder
    )
