"""What a few-shot classifier says of a slide: a map per class, and the likeliest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.heatmaps._category_map import CategoryMap
from napari_pathfm.heatmaps._heatmap import Heatmap, on_grid, passed_on

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from napari_pathfm.heatmaps._classes import TissueClass
    from napari_pathfm.heatmaps._few_shot import FewShot
    from napari_pathfm.heatmaps._vectors import UnitVectors


class ClassMaps:
    """Probabilities of classes over one slide.

    Parameters
    ----------
    vectors : UnitVectors
        Of the slide; may be of another one than the classifier learnt from.
    classifier : FewShot

    Raises
    ------
    StoreError
        The vectors are of another kind than those learnt from.
    """

    def __init__(self, vectors: UnitVectors, classifier: FewShot) -> None:
        #: float32 ``(N, K)``; NaN where not embedded.
        self.chances: NDArray[np.float32] = classifier.probabilities(vectors)
        self.classes: tuple[TissueClass, ...] = classifier.classes
        self._grid = vectors.grid
        self._mpp: float = vectors.attrs["slide_mpp"]
        self._provenance: dict[str, Any] = passed_on(vectors.attrs) | {
            "kind": "few-shot classes",
            "store": vectors.name,
            "classifier": classifier.provenance
            | {"temperature": classifier.temperature},
        }

    def probability(self, name: str) -> Heatmap:
        """Give the probability of one class, 0 to 1.

        Raises
        ------
        KeyError
            The classifier knows no class of that name.
        """
        names = [one.name for one in self.classes]
        if name not in names:
            raise KeyError(name)
        values, origin, stride = on_grid(self._grid, self.chances[:, names.index(name)])
        return Heatmap(
            values,
            origin,
            stride,
            self._mpp,
            f"probability of {name}",
            (0.0, 1.0),
            self._provenance | {"class": name},
        )

    def probabilities(self) -> list[Heatmap]:
        """Give one map per class."""
        return [self.probability(one.name) for one in self.classes]

    def likeliest(self) -> CategoryMap:
        """Give each tile's most probable class."""
        known = ~np.isnan(self.chances[:, 0])
        number = np.zeros(len(self.chances), np.float32)
        number[known] = self.chances[known].argmax(axis=1) + 1
        values, origin, stride = on_grid(self._grid, number)
        return CategoryMap(
            np.nan_to_num(values).astype(np.int16),
            self.classes,
            origin,
            stride,
            self._mpp,
            "likeliest class",
            self._provenance,
            number.astype(np.int16),
        )
