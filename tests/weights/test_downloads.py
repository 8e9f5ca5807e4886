"""Weights that were downloaded by hand are found by the model's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_pathfm.encoders import encoder_spec
from napari_pathfm.errors import WeightsError
from napari_pathfm.weights import downloaded

if TYPE_CHECKING:
    from pathlib import Path

SPEC = encoder_spec("h0-mini")


@pytest.mark.parametrize("name", ["h0-mini", "H0-mini", "bioptimus/H0-mini"])
def test_a_folder_by_name_or_as_the_repository(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir(parents=True)
    assert downloaded(SPEC, tmp_path) == tmp_path / name


def test_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "h0-mini.safetensors").touch()
    assert downloaded(SPEC, tmp_path) == tmp_path / "h0-mini.safetensors"


def test_none_there_or_none_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert downloaded(SPEC, tmp_path) is None
    assert downloaded(SPEC) is None
    (tmp_path / "h0-mini").mkdir()
    monkeypatch.setenv("NAPARI_PATHFM_WEIGHTS", str(tmp_path))
    assert downloaded(SPEC) == tmp_path / "h0-mini"
    assert downloaded(SPEC, "") == tmp_path / "h0-mini"


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist: correct NAPARI_PATHFM"):
        downloaded(SPEC, tmp_path / "gone")
