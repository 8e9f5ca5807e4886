"""The work behind a few-shot map, as one worker does it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_pathfm.viewer.session._class_layer import tiles_painted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps import (
        ClassMaps,
        FewShot,
        LabelledTiles,
        TissueClass,
        UnitVectors,
        Validation,
    )
    from napari_pathfm.viewer.session._jobs import Job


@dataclass(frozen=True)
class Answer:
    """What labels say of a slide.

    Attributes
    ----------
    vectors : UnitVectors
        As far as the slide was embedded.
    tiles : LabelledTiles
    classifier : FewShot or None
        None while fewer than two classes have embedded tiles.
    maps : ClassMaps or None
    validation : Validation or None
        None until the labels are cross-validated, or where a loaded classifier is
        applied.
    """

    vectors: UnitVectors
    tiles: LabelledTiles
    classifier: FewShot | None = None
    maps: ClassMaps | None = None
    validation: Validation | None = None


class Fitting:
    """Fit labels, draw, then find out how good it is. `run` is for a worker.

    Parameters
    ----------
    store : EmbeddingStore
        May be filling.
    painted : (ndarray, ndarray)
        Centres and class numbers, from `painted_cells`.
    classes : tuple of TissueClass
    loaded : FewShot, optional
        Used as it is, in place of one that is fitted.
    vectors : UnitVectors, optional
        Of the whole slide, where they are in memory already.
    temperature : float
        Of the last fit: used until labels are validated.
    """

    def __init__(
        self,
        store: EmbeddingStore,
        painted: tuple[NDArray[np.float64], NDArray[np.int64]],
        classes: tuple[TissueClass, ...],
        loaded: FewShot | None = None,
        vectors: UnitVectors | None = None,
        temperature: float = 1.0,
    ) -> None:
        self._store = store
        self._painted = painted
        self._classes = classes
        self._loaded = loaded
        self._vectors = vectors
        self._temperature = temperature

    def run(self, job: Job) -> Answer:
        """Do it; the map is published before it is validated.

        Raises
        ------
        PathfmError
            The store cannot be read, or a loaded classifier is of another kind.
        """
        from napari_pathfm.heatmaps import (
            ClassMaps,
            UnitVectors,
            fit_few_shot,
            validate,
        )

        vectors = self._vectors
        if vectors is None:
            vectors = UnitVectors.of(self._store)
        tiles = tiles_painted(vectors.grid, *self._painted, self._classes)
        ready = tiles.among(vectors.done)
        if self._loaded is not None:
            maps = ClassMaps(vectors, self._loaded)
            return Answer(vectors, tiles, self._loaded, maps)
        if (ready.counts > 0).sum() < 2:
            return Answer(vectors, tiles)
        classifier = fit_few_shot(vectors, ready, temperature=self._temperature)
        answer = Answer(vectors, tiles, classifier, ClassMaps(vectors, classifier))
        job.publish(answer)
        if job.cancelled():
            return answer
        validation = validate(vectors, ready)
        classifier = replace(classifier, temperature=validation.temperature)
        return Answer(
            vectors, tiles, classifier, ClassMaps(vectors, classifier), validation
        )
