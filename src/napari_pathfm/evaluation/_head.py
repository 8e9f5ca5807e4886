"""A slide-level head on disk: its networks, and what they may be given."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import OutputError, PathfmError, StoreError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.evaluation._abmil import Abmil

FORMAT = "napari-pathfm head"

#: What a store must share with those that a head learned from.
COMPARABLE = ("encoder", "weights_revision", "pooling", "mpp", "tile_px")


@dataclass(frozen=True)
class Head:
    """An ensemble that says of a slide what class it is, and where it looked.

    Attributes
    ----------
    networks : tuple of Abmil
        Their predictions are averaged.
    classes : tuple of str
        In the order of the probabilities.
    provenance : mapping
        ``features`` (`COMPARABLE` of the stores), how the head was trained, on how many
        slides, and how well it did in cross-validation.
    """

    networks: tuple[Abmil, ...]
    classes: tuple[str, ...]
    provenance: Mapping[str, Any]

    def predict(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Class probabilities ``(C,)`` of a slide's features ``(n, D)``."""
        from napari_pathfm.evaluation._abmil import probabilities

        each = [probabilities(net, [features])[0] for net in self.networks]
        return np.asarray(np.mean(each, axis=0))

    def predict_each(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Class probabilities ``(n, C)`` of slides of nothing but one tile each."""
        from napari_pathfm.evaluation._abmil import probabilities_alone

        each = [probabilities_alone(net, features) for net in self.networks]
        return np.asarray(np.mean(each, axis=0))

    def attention(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Mean attention ``(n,)`` of the networks; over the tiles it sums to one."""
        from napari_pathfm.evaluation._abmil import weights_of_tiles

        each = [weights_of_tiles(net, features) for net in self.networks]
        return np.asarray(np.mean(each, axis=0, dtype=np.float32))

    def features_of(self, store: EmbeddingStore) -> NDArray[np.float32]:
        """Features of a store's finished tiles, if this head may see them.

        Raises
        ------
        StoreError
            If the store is of another encoder, weights, pooling, mpp or tile, or empty.
        """
        for key, expected in self.provenance["features"].items():
            found = store.attrs.get(key)
            # Weights are the same wherever they came from.
            same = found == expected or (
                key == "weights_revision"
                and ":" in str(expected)
                and str(found).rpartition(":")[2] == str(expected).rpartition(":")[2]
            )
            if not same:
                raise StoreError(
                    f"{store.path} has {key} {found}, and the head "
                    f"learned from {expected}: embed the slide alike"
                )
        features = store.features[store.done].astype(np.float32)
        if not len(features):
            raise StoreError(f"{store.path} has no finished tile: run embed on it")
        return features


def save_head(head: Head, path: Path) -> None:
    """Write a head as one safetensors file, its provenance in the metadata.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left behind.
    """
    from safetensors.torch import save_file

    tensors = {
        f"{number}.{name}": value.contiguous()
        for number, network in enumerate(head.networks)
        for name, value in network.state_dict().items()
    }
    about = {"format": FORMAT, "version": "1", "classes": json.dumps(head.classes)}
    about["provenance"] = json.dumps(dict(head.provenance))
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part, metadata=about)
        os.replace(part, path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}): choose another file"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def load_head(path: str | Path) -> Head:
    """Read a head from its file.

    Raises
    ------
    WeightsError
        If it is missing, damaged, or no head of ours.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is no head, or it is damaged: {error}") from error
    if about.get("format") != FORMAT:
        raise WeightsError(f"{path} is no head that `evaluate slides --head` wrote")
    classes = tuple(json.loads(about["classes"]))
    return Head(
        tuple(_networks(tensors, len(classes), Path(path))),
        classes,
        json.loads(about["provenance"]),
    )


def _networks(tensors: Mapping[str, Any], classes: int, path: Path) -> Sequence[Abmil]:
    from napari_pathfm.evaluation._abmil import Abmil

    found = []
    for number in sorted({int(key.split(".")[0]) for key in tensors}):
        prefix = f"{number}."
        own = {
            k.removeprefix(prefix): v
            for k, v in tensors.items()
            if k.startswith(prefix)
        }
        try:
            network = Abmil(own["embed.weight"].shape[1], classes)
            network.load_state_dict(own)
        except (KeyError, RuntimeError) as error:
            raise WeightsError(f"{path} does not hold the tensors of a head") from error
        found.append(network.eval())
    if not found:
        raise PathfmError(f"{path} holds no network")
    return found
