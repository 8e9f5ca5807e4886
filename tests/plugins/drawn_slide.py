"""A drawn slide and the bundled encoder, for rooms that work on both."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A drawn slide, so that these tests need no shared data."""
    from napari_pathfm.slides import draw_slide, open_slide

    path = tmp_path_factory.mktemp("slides") / "drawn.tif"
    draw_slide(path, width=2048, height=1536)
    with open_slide(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def encoder():
    from napari_pathfm.encoders import load_encoder

    return load_encoder(device="cpu")
