"""A virtual slide prepared: models, embeddings, and whether it is the one it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import Cancelled, PathfmError, SessionError
from napari_pathfm.viewer._preferences import preference
from napari_pathfm.viewer.session._store_files import StoreKey, path_for_run
from napari_pathfm.viewer.session._virtual_levels import VirtualLevels

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, Provenance
    from napari_pathfm.slides import Slide
    from napari_pathfm.viewer.session._jobs import Job
    from napari_pathfm.viewer.session._models import Models

_GIB = 2**30

# In a provenance, what does not change a pixel.
_NO_MATTER = frozenset({"slide", "software", "notice", "fidelity"})
_WORDS = {
    "generator_revision": "other weights of the generator",
    "encoder_revision": "other weights of the encoder",
    "condition_sha256": "other embeddings",
}


@dataclass(frozen=True)
class Kept:
    """A virtual slide as a session file has it: what makes it again.

    Attributes
    ----------
    settings : dict
        What `VirtualSlide.asked` gave.
    provenance : Provenance
        What it was.
    paused : bool
        Whether a person had stopped it.
    shown : dict
        How its layer is shown, as napari calls it.
    """

    settings: Mapping[str, Any]
    provenance: Provenance
    paused: bool = False
    shown: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str | None:
        """Whose twin it is."""
        return self.provenance.slide_fingerprint


@dataclass(frozen=True)
class Preparing:
    """What a worker does until the first chunk can be made; call it with the job.

    Attributes
    ----------
    models : Models
    slide : Slide
    cache : Path
        Of stores and chunks.
    generator : str
    settings : mapping
        Seed and sampling, as `VirtualSlide` takes them.
    trust_remote_code : bool
        Whether a person agrees now to run the generator's own code.
    before : Provenance or None
        What the slide was, where it comes from a session file: it is that one again or
        none at all.
    """

    models: Models
    slide: Slide
    cache: Path
    generator: str
    settings: Mapping[str, Any]
    trust_remote_code: bool = False
    before: Provenance | None = None

    def __call__(self, job: Job) -> tuple[VirtualLevels, EmbeddingStore]:
        """Load, embed what is not embedded, and lay out.

        Raises
        ------
        PathfmError
            It cannot be made, or not as it was.
        """
        try:
            return self._prepared(job)
        except Cancelled:
            raise
        except PathfmError as error:
            if self.before is None:
                raise
            raise SessionError(
                f"The virtual slide of {self.slide.name} was not brought back: {error}."
            ) from error

    def _prepared(self, job: Job) -> tuple[VirtualLevels, EmbeddingStore]:
        from napari_pathfm.synthesis import ChunkFiles, VirtualSlide

        told = preference("storage", "virtual_gib")
        limit = int((float(told) if told else 2.0) * _GIB)
        job.say("loading the generator")
        generator = self.models.generator(
            self.generator, trust_remote_code=self.trust_remote_code
        )
        encoder = self.models.encoder(generator.spec.encoder)
        job.say("")
        self._check_models(generator, encoder)
        path = StoreKey.of(self.slide, encoder.spec).path(self.cache)
        store = self.models.embed(
            self.slide,
            encoder,
            path_for_run(path, encoder, self.slide),
            progress=job.report,
            cancelled=job.cancelled,
        )
        virtual = VirtualSlide(
            self.slide,
            store,
            generator,
            files=ChunkFiles(self.cache / "virtual", limit),
            on_step=lambda *_: not job.cancelled(),
            **self.settings,
        )
        if self.before is not None:
            check_same(self.before, virtual.provenance)
        return VirtualLevels(virtual), store

    def _check_models(self, generator: Generator, encoder: Encoder) -> None:
        """Refuse other weights before a slide is embedded by them for nothing."""
        if self.before is None:
            return
        for key, here in (
            ("generator_revision", generator.revision),
            ("encoder_revision", encoder.revision),
        ):
            told = getattr(self.before, key)
            if told != here:
                raise _other(key, told, here)


def check_same(before: Provenance, now: Provenance) -> None:
    """Refuse a virtual slide that has other pixels than one that was.

    Raises
    ------
    SessionError
        Naming what differs.
    """
    one, two = _decisive(before), _decisive(now)
    for key in two:
        if one.get(key) != two[key]:
            raise _other(key, one.get(key), two[key])


def _decisive(provenance: Provenance) -> dict[str, Any]:
    told = {k: v for k, v in provenance.to_dict().items() if k not in _NO_MATTER}
    # A store may have moved; what it holds is compared.
    told["details"] = {k: v for k, v in told["details"].items() if k != "store"}
    return told


def _other(key: str, told: object, here: object) -> SessionError:
    what = _WORDS.get(key, f"another {key.replace('_', ' ')}")
    return SessionError(
        f"it was made with {what} ({str(told)[:24]}, here {str(here)[:24]}); "
        "Virtual slide lays a new one"
    )
