"""The doctor in the window: one model examined in a worker, and what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from psygnal import Signal

from napari_pathfm.viewer._imports import import_models
from napari_pathfm.viewer.session._jobs import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_pathfm.viewer.session._jobs import Outcome, Runner
    from napari_pathfm.viewer.session._models import Models
    from napari_pathfm.weights import Check, Diagnosis

Kind = Literal["encoder", "generator"]


class Doctor:
    """Finds out whether a model can be used here.

    Parameters
    ----------
    models : Models
        Where the catalogue's entries come from.
    runner : Runner
        Who does the work.
    diagnose : callable, optional
        In place of `weights.diagnose`.
    """

    changed = Signal()

    def __init__(
        self,
        models: Models,
        runner: Runner,
        diagnose: Callable[..., Diagnosis] | None = None,
    ) -> None:
        self._models = models
        self._runner = runner
        self._diagnose = diagnose
        self._job: Job | None = None
        self.title = ""
        self.diagnosis: Diagnosis | None = None
        self.error: Exception | None = None

    @property
    def running(self) -> bool:
        """Whether the model is being looked at."""
        return self._job is not None and self._job.running

    @property
    def checks(self) -> tuple[Check, ...]:
        """What was looked at, in order."""
        return () if self.diagnosis is None else self.diagnosis.checks

    @property
    def headline(self) -> str:
        """What stands above the checks."""
        if self.running:
            return f"Looking at {self.title}…"
        if self.error is not None:
            return str(self.error)
        return "" if self.diagnosis is None else self.diagnosis.headline

    @property
    def access_page(self) -> str | None:
        """Where a person asks for permission."""
        return None if self.diagnosis is None else self.diagnosis.access_page

    @property
    def text(self) -> str:
        """All of it as text, for a mail or an issue."""
        if self.diagnosis is None:
            return self.headline
        from napari_pathfm import __version__

        first = f"{self.diagnosis.title}, napari-pathfm {__version__}"
        return "\n".join([first, *self.diagnosis.lines()])

    def examine(
        self, kind: Kind, name: str, *, trust_remote_code: bool = False
    ) -> None:
        """Look at a model; `changed` tells when it begins and when it is done."""
        if self.running:
            return
        self.diagnosis, self.error, self.title = None, None, name
        spec: Any = (
            self._models.encoder_spec(name)
            if kind == "encoder"
            else self._models.generator_spec(name)
        )
        if spec is None:
            return
        self.title = spec.title

        def work(job: Job) -> Diagnosis:
            weights = self._models.weights(spec)
            examine = self._diagnose
            if examine is None:
                from napari_pathfm import weights as weight_files

                import_models()
                examine = weight_files.diagnose
            return examine(spec, weights=weights, trust_remote_code=trust_remote_code)

        self._job = job = Job(f"Looking at {self.title}")
        self._runner.start(work, job, lambda outcome: self._ended(job, outcome))
        self.changed.emit()

    def leave(self) -> None:
        """Hear no more of an examination that is going on."""
        self._job = None

    def _ended(self, job: Job, outcome: Outcome) -> None:
        if job is not self._job:
            return
        self.diagnosis = outcome.value if outcome.state == "done" else None
        self.error = outcome.error
        self.changed.emit()
