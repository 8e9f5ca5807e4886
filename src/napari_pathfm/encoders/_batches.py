"""How many tiles go through a model at once, and what becomes of too many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

# What PyTorch's allocators say: CUDA's and MPS's, the CPU's on Linux, on Windows.
_SAID = ("out of memory", "can't allocate memory", "not enough memory")


class Batches:
    """Cuts tiles into batches; they get smaller when memory runs out, and stay so.

    Parameters
    ----------
    pixels : int
        Pixels of a batch to begin with.
    release : callable, optional
        Gives memory that is only cached back, before a smaller batch is tried.
    """

    def __init__(
        self, pixels: int, release: Callable[[], object] | None = None
    ) -> None:
        self._pixels = pixels
        self._release = release

    def size(self, tiles: NDArray[Any]) -> int:
        """How many such tiles ``(N, H, W, 3)`` go through at once: one at least."""
        _, height, width, _ = tiles.shape
        return int(max(1, self._pixels // (height * width)))

    def run(
        self, work: Callable[[NDArray[Any]], Any], tiles: NDArray[Any]
    ) -> Iterator[tuple[slice, Any]]:
        """Give what ``work`` makes of each batch, and which tiles those are.

        A batch that does not fit is tried again as two halves; nothing that was done is
        done again.

        Raises
        ------
        PathfmError
            If a single tile does not fit.
        """
        start = 0
        while start < len(tiles):
            part = tiles[start : start + self.size(tiles)]
            try:
                result = work(part)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                height, width = part.shape[1:3]
                if len(part) == 1:
                    raise PathfmError(
                        f"a single field of {width} x {height} px does not fit into "
                        "memory: take a smaller one, or another --device"
                    ) from error
                self._pixels = (len(part) // 2) * height * width
            else:
                yield slice(start, start + len(part)), result
                start += len(part)
                continue
            # Here, and not above: the error holds on to what the batch had allocated.
            if self._release is not None:
                self._release()


def out_of_memory(error: BaseException) -> bool:
    """Whether this is the device or the machine having no memory left."""
    return isinstance(error, MemoryError) or any(
        said in str(error).lower() for said in _SAID
    )
