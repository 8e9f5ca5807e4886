"""The rooms below, behind one object: the one place where a test puts other models.

Everything is imported when it is called, in the worker that calls it: PyTorch takes
seconds, and napari starts without it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import WeightsError
from napari_pathfm.viewer._imports import import_for_layers, import_models
from napari_pathfm.viewer._notices import notify
from napari_pathfm.viewer._preferences import preference

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder, EncoderSpec
    from napari_pathfm.generators import Generator, GeneratorSpec
    from napari_pathfm.synthesis import (
        Extension,
        Repair,
        Steering,
        Trust,
        Twin,
        Variation,
        Walk,
    )
    from napari_pathfm.weights import ModelSpec


@dataclass(frozen=True)
class Choice:
    """A model that can be chosen, as the catalogues describe it."""

    name: str
    title: str
    licence: str
    notice: str
    gated: bool
    tile_um: float
    remote_code: str = ""

    @property
    def tooltip(self) -> str:
        """What should be known before choosing it."""
        lines = [f"{self.title} ({self.name})", f"Licence: {self.licence}"]
        lines.append(f"Works on squares of {self.tile_um:g} µm")
        if self.gated:
            lines.append("Access has to be asked for on the Hugging Face hub")
        return "\n".join([*lines, self.notice] if self.notice else lines)


class Models:
    """Encoders and generators by name, each loaded once and kept.

    Safe to use from several workers: whoever comes second waits for the first.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._encoders: dict[str, Encoder] = {}
        self._generators: dict[str, Generator] = {}
        self._known: dict[str, EncoderSpec] = {}
        self._known_generators: dict[str, GeneratorSpec] = {}

    def prepare(self) -> None:
        """Import what the first click on a slide will need; in a worker only."""
        import_for_layers()

    def prepare_models(self) -> None:
        """Import what models need, ahead of the first click; in a worker only."""
        import_models()

    def encoder_choices(self) -> list[Choice]:
        """List the encoders: the catalogue, and the person's own after it."""
        from napari_pathfm.encoders import known_encoders

        if not self._known:
            self._known, refused = known_encoders()
            for error in refused.values():
                notify("warning", f"left out: {error}")
        specs = self._known.values()
        return [_choice(spec, spec.tile_px * spec.mpp) for spec in specs]

    def default_encoder(self) -> str:
        """Name the encoder to begin with: H0-mini as soon as its weights are here."""
        from napari_pathfm.encoders import default_encoder

        try:
            return default_encoder(preference("storage", "weights_dir"))
        except WeightsError:
            # The folder that was set is gone: said when a model is asked for.
            return "bundled"

    def generator_choices(self) -> list[Choice]:
        """List the generators: the catalogue, and the person's own after it."""
        specs = self._generator_specs().values()
        return [_choice(spec, spec.tile_px * spec.mpp) for spec in specs]

    def generator_spec(self, name: str) -> GeneratorSpec | None:
        """Give a generator's facts, or None where there is no such name."""
        return self._generator_specs().get(name)

    def _generator_specs(self) -> dict[str, GeneratorSpec]:
        from napari_pathfm.generators import known_generators

        if not self._known_generators:
            self._known_generators, refused = known_generators()
            for error in refused.values():
                notify("warning", f"left out: {error}")
        return self._known_generators

    def encoder_spec(self, name: str) -> EncoderSpec:
        """Give an encoder's facts, without loading it."""
        from napari_pathfm.encoders import encoder_spec

        # As it was when the list was made, though its file may have changed since.
        return self._known.get(name) or encoder_spec(name)

    def loaded_encoder(self, name: str) -> Encoder | None:
        """Give an encoder if it is loaded already."""
        return self._encoders.get(name)

    def encoder(self, name: str) -> Encoder:
        """Give an encoder, loading it if it must be: seconds, in a worker only."""
        from napari_pathfm.encoders import load_encoder

        import_models()
        spec = self.encoder_spec(name)
        weights = self.weights(spec)
        with self._lock:
            if name not in self._encoders:
                engine = preference("computing", "engine") or "torch"
                encoder = load_encoder(spec, weights=weights, engine=engine)
                if encoder.precision.refused:
                    notify("info", f"{spec.title}: {encoder.precision.why}")
                self._encoders[name] = encoder
            return self._encoders[name]

    def generator(self, name: str, *, trust_remote_code: bool = False) -> Generator:
        """Give a generator, loading it if it must be: seconds, in a worker only."""
        from napari_pathfm.generators import generator_spec, load_generator

        import_models()
        weights = self.weights(generator_spec(name))
        with self._lock:
            if name not in self._generators:
                self._generators[name] = load_generator(
                    name, weights=weights, trust_remote_code=trust_remote_code
                )
            return self._generators[name]

    def weights(self, spec: ModelSpec) -> Path | None:
        """Where a person keeps a model's weights; None: the hub, or the package.

        Raises
        ------
        WeightsError
            The folder that was set does not exist.
        """
        from napari_pathfm.weights import downloaded

        return downloaded(spec, preference("storage", "weights_dir"))

    def vary(self, *arguments: Any, **keywords: Any) -> Variation:
        """Generate variants of a place: `synthesis.vary`."""
        from napari_pathfm.synthesis import vary

        return vary(*arguments, **keywords)

    def walk(self, *arguments: Any, **keywords: Any) -> Walk:
        """Generate what lies between two places: `synthesis.walk`."""
        from napari_pathfm.synthesis import walk

        return walk(*arguments, **keywords)

    def steer(self, *arguments: Any, **keywords: Any) -> Steering:
        """Move a tile towards a class: `synthesis.steer`."""
        from napari_pathfm.synthesis import steer

        return steer(*arguments, **keywords)

    def check_steering(self, *arguments: Any) -> None:
        """Refuse a classifier that does not fit: `synthesis.check_steering`."""
        from napari_pathfm.synthesis import check_steering

        check_steering(*arguments)

    def check_places(self, *arguments: Any) -> None:
        """Refuse places without tissue: `synthesis.check_places`; in a worker only."""
        from napari_pathfm.synthesis import check_places

        check_places(*arguments)

    def repair(self, *arguments: Any, **keywords: Any) -> Repair:
        """Make what lies under a mask anew: `synthesis.repair`."""
        from napari_pathfm.synthesis import repair

        return repair(*arguments, **keywords)

    def extend(self, *arguments: Any, **keywords: Any) -> Extension:
        """Carry a field on beyond its border: `synthesis.extend`."""
        from napari_pathfm.synthesis import extend

        return extend(*arguments, **keywords)

    def second_encoder(self, first: str) -> Encoder | None:
        """Load another encoder, if the weights of any are here; in a worker only."""
        from napari_pathfm.weights import model_status

        for name, spec in self._known.items():
            if name == first:
                continue
            here = model_status(spec) in ("bundled", "cached", "local")
            if here or self.weights(spec) is not None:
                return self.encoder(name)
        return None

    def trust(self, *arguments: Any, **keywords: Any) -> Trust:
        """Compare a synthetic tile with its slide: `synthesis.trust`."""
        from napari_pathfm.synthesis import trust

        return trust(*arguments, **keywords)

    def embed(self, *arguments: Any, **keywords: Any) -> EmbeddingStore:
        """Embed a slide: `embeddings.embed_slide`."""
        from napari_pathfm.embeddings import embed_slide

        return embed_slide(*arguments, **keywords)

    def twin(self, *arguments: Any, **keywords: Any) -> Twin:
        """Make a region once more: `synthesis.twin`."""
        from napari_pathfm.synthesis import twin

        return twin(*arguments, **keywords)


def _choice(spec: Any, tile_um: float) -> Choice:
    return Choice(
        name=spec.name,
        title=spec.title,
        licence=spec.licence,
        notice=spec.notice,
        gated=spec.gated,
        tile_um=tile_um,
        remote_code=spec.hub_repo if getattr(spec, "remote_code", False) else "",
    )
