"""A store's embeddings as unit vectors in memory, compared as fast as they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.slides import TileGrid

# Up to so many numbers, single precision in NumPy is instant and needs no PyTorch.
# Beyond, half precision halves what must be read from memory, which is what a
# comparison costs: with it a cosine is off by 1e-4 at most.
_SINGLE = 1 << 27
# Rows that are brought to unit length, or to single precision, at a time.
_BLOCK = 16_384
# Up to so many directions, one product each reads faster than all at once: for several
# at once PyTorch has no half-precision kernel of the processor's own.
_SINGLY = 4


class UnitVectors:
    """The vectors of one store, of length 1, and what they belong to.

    Parameters
    ----------
    features : array, (N, D)
        Any floating type; NumPy's, or one that gives NumPy's when sliced, as Zarr does.
    grid : TileGrid
        Whose tiles they stand for.
    done : bool array, (N,)
        Which of them are embedded; the rest are zero.
    attrs : dict
        The store's attributes.
    name : str
        The store's, for people and provenance.
    """

    def __init__(
        self,
        features: Any,
        grid: TileGrid,
        done: NDArray[np.bool_],
        attrs: dict[str, Any],
        name: str,
    ) -> None:
        n, dim = features.shape
        dtype = np.float32 if n * dim <= _SINGLE else np.float16
        self._unit = np.zeros((n, dim), dtype)
        for start in range(0, n, _BLOCK):
            rows = slice(start, start + _BLOCK)
            self._unit[rows] = normalised(np.asarray(features[rows]))
        self._unit[~done] = 0
        self.grid = grid
        self.done = done
        self.attrs = attrs
        self.name = name

    @classmethod
    def of(cls, store: EmbeddingStore) -> UnitVectors:
        """Read a store's, which may still be filling."""
        # What is done is asked first: rows that finish meanwhile are left for later.
        done = store.done
        return cls(store.features, store.grid, done, store.attrs, store.path.name)

    def __len__(self) -> int:
        """Count the tiles."""
        return len(self._unit)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._unit.shape[1])

    def rows(self, rows: NDArray[np.integer[Any]] | list[int]) -> NDArray[np.float32]:
        """Give some of the vectors, float32 ``(len(rows), D)``."""
        return np.asarray(self._unit[rows], np.float32)

    def blocks(self, size: int = _BLOCK) -> list[slice]:
        """Cut the rows into slices that are worked on one after the other."""
        return [slice(i, i + size) for i in range(0, len(self), size)]

    def block(self, rows: slice) -> NDArray[np.float32]:
        """Give consecutive vectors, float32."""
        return np.asarray(self._unit[rows], np.float32)

    def dot(self, directions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Multiply every vector with one or several directions.

        Parameters
        ----------
        directions : float32 array, (D,) or (K, D)
            Of unit length, so that products are cosines.

        Returns
        -------
        float32 array, (N,) or (N, K)

        Raises
        ------
        StoreError
            Their length is not the vectors'.
        """
        if directions.shape[-1] != self.dim:
            raise StoreError(
                f"{self.name} holds vectors of {self.dim} numbers, not of "
                f"{directions.shape[-1]}: they come from another encoder or pooling"
            )
        directions = np.asarray(directions, np.float32)
        if self._unit.dtype == np.float32:
            product: NDArray[np.float32] = self._unit @ directions.T
            return product
        if directions.ndim == 1:
            return self._dot_half(directions)
        if len(directions) <= _SINGLY:
            return np.stack([self._dot_half(one) for one in directions], axis=1)
        product = np.empty((len(self), len(directions)), np.float32)
        for rows in self.blocks():
            np.matmul(self.block(rows), directions.T, out=product[rows])
        return product

    def _dot_half(self, direction: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        product = torch.from_numpy(self._unit) @ torch.from_numpy(direction).half()
        return np.asarray(product.float().numpy())


def normalised(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Bring vectors ``(..., D)`` to length 1, float32; zero stays zero."""
    vectors = np.asarray(vectors, np.float32)
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: NDArray[np.float32] = vectors / np.maximum(norms, 1e-12)
    return unit
