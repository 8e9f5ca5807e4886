"""The synthetic twin of a whole slide, made chunk by chunk where somebody looks.

A chunk depends on its place alone. The slide is covered by windows on a fixed lattice,
three quarters of a tile apart. A chunk is made from all windows that touch it and one
ring of windows more, fused at every step, with noise by seed and position and
conditions by position; so its neighbours, made by themselves, meet it without a seam to
speak of, and it comes out the same whenever and in whatever order it is made.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import OutsideSlideError
from napari_pathfm.generators import (
    Provenance,
    area_settings,
    condition_hash,
    generate_area,
)
from napari_pathfm.synthesis._lattice import lattice_of
from napari_pathfm.synthesis._virtual_conditions import StoredConditions
from napari_pathfm.synthesis._virtual_layout import (
    CHUNK,
    GLASS,
    MARGIN,
    Chunk,
    ChunkLayout,
)

if TYPE_CHECKING:
    import dask.array as da
    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.generators import Generator, OnStep
    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis._chunk_files import ChunkFiles

    Box = tuple[float, float, float, float]

#: A pyramid's last level is at most this wide and high.
COARSEST = 1024


class VirtualSlide(ChunkLayout):
    """A slide that is all synthetic, from the embeddings of a real one.

    Parameters
    ----------
    slide : Slide
        Whose size and pixel size it takes over; its pixels are not read.
    store : EmbeddingStore
        The slide's, complete, by the generator's encoder.
    generator : Generator
        One that gives its latent flow.
    seed : int
        Of the noise; the place does the rest.
    steps, guidance, sampler, preset
        See `generate_area`; the default preset is ``"fast"``, for a slide has thousands
        of tiles.
    files : ChunkFiles, optional
        Where chunks are kept that were made before.
    on_step : callable, optional
        Hears of the check that a generator's native network may need.

    Attributes
    ----------
    shape : (int, int)
        Height and width, in pixels that the generator makes.
    chunk_px : int
        Side of a chunk, in such pixels.
    chunks : (int, int)
        How many there are, down and across.
    stride : float
        Level-0 pixels of the slide per pixel.
    mpp : float
        Micrometres per pixel.
    provenance : Provenance
        Of any part of it; of a part the ``box`` differs.

    Raises
    ------
    StoreError
        If the store is another slide's or another encoder's, or unfinished.
    MissingMppError
        If the slide's pixel size is unknown.
    PathfmError
        If the generator makes whole tiles only, or a setting makes no sense.
    """

    def __init__(
        self,
        slide: Slide,
        store: EmbeddingStore,
        generator: Generator,
        *,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        sampler: str | None = None,
        preset: str | None = None,
        files: ChunkFiles | None = None,
        on_step: OnStep | None = None,
    ) -> None:
        slide_mpp = slide.require_mpp()
        conditions = StoredConditions(store, generator.spec, slide)
        if sampler is None and steps is None and preset is None:
            preset = "fast"
        self._asked: dict[str, Any] = {
            "seed": seed,
            "steps": steps,
            "guidance": guidance,
            "sampler": sampler,
            "preset": preset,
        }
        settings = area_settings(
            generator, sampler=sampler, steps=steps, guidance=guidance, preset=preset
        )
        flow = generator.flow(on_step)
        self._generator = generator
        super().__init__(lattice_of(slide, generator, flow), conditions, slide)
        self.mpp = self.stride * slide_mpp
        spec = generator.spec
        self.provenance = Provenance(
            generator=spec.name,
            generator_revision=generator.revision,
            sampler=settings.sampler,
            steps=settings.steps,
            guidance=settings.guidance,
            guidance_interval=settings.interval,
            preset=settings.preset,
            engine=flow.engine,
            precision=flow.precision,
            seed=seed,
            mpp=self.mpp,
            encoder=spec.encoder,
            encoder_revision=str(store.attrs.get("weights_revision")),
            condition_sha256=condition_hash(
                self._conditions.vectors.astype(np.float32)
            ),
            slide=slide.path.name,
            slide_fingerprint=slide.fingerprint,
            box=(0.0, 0.0, self.shape[1] * self.stride, self.shape[0] * self.stride),
            action="virtual",
            details={
                "store": store.path.name,
                "slide_mpp": slide_mpp,
                "window_step": self._step,
                "chunk": CHUNK,
                "margin": MARGIN,
            },
            notice=spec.notice,
            software=_software(),
        )
        self._files = None
        if files is not None:
            self._files = files.of(self.provenance)

    def kept(self, chunk: Chunk) -> NDArray[np.uint8] | None:
        """Give a chunk if it is glass or was made before, and None otherwise."""
        if self.is_glass(chunk):
            return np.full((*self.size_of(chunk), 3), GLASS, np.uint8)
        if self._files is None:
            return None
        return self._files.get(chunk.row, chunk.column, (*self.size_of(chunk), 3))

    @property
    def asked(self) -> dict[str, Any]:
        """Seed and settings as they were asked for, by keyword."""
        return dict(self._asked)

    @property
    def kept_bytes(self) -> int:
        """What the chunks that were made before take on the disk."""
        return 0 if self._files is None else self._files.size()

    def make(self, chunk: Chunk, on_step: OnStep | None = None) -> NDArray[np.uint8]:
        """Make a chunk, or give the one that was made before.

        Parameters
        ----------
        chunk : Chunk
        on_step : callable, optional
            See `OnStep`.

        Returns
        -------
        ndarray
            uint8 ``(h, w, 3)``.

        Raises
        ------
        OutsideSlideError
            If there is no such chunk.
        Cancelled
            If ``on_step`` said so.
        """
        down, across = self.chunks
        if not (0 <= chunk.row < down and 0 <= chunk.column < across):
            raise OutsideSlideError(
                f"there is no chunk ({chunk.row}, {chunk.column}): the virtual slide "
                f"has {down} x {across}"
            )
        before = self.kept(chunk)
        if before is not None:
            return before
        pixels = self._made(chunk, on_step)
        if self._files is not None:
            self._files.put(chunk.row, chunk.column, pixels)
        return pixels

    def read(
        self,
        x: int,
        y: int,
        width: int,
        height: int,
        on_step: OnStep | None = None,
    ) -> NDArray[np.uint8]:
        """Make a part, in pixels of the virtual slide: uint8 ``(height, width, 3)``.

        Raises
        ------
        OutsideSlideError
            If the part is empty or leaves the slide.
        """
        high, wide = self.shape
        inside = 0 <= x <= wide - width and 0 <= y <= high - height
        if min(width, height) < 1 or not inside:
            raise OutsideSlideError(
                f"the part {x},{y},{width},{height} leaves the virtual slide of "
                f"{wide} x {high} px"
            )
        side = self.chunk_px
        out = np.empty((height, width, 3), np.uint8)
        for chunk in self.chunks_of((x, y, width, height)):
            pixels = self.make(chunk, on_step)
            top, left = chunk.row * side, chunk.column * side
            r0, r1 = max(y, top), min(y + height, top + pixels.shape[0])
            c0, c1 = max(x, left), min(x + width, left + pixels.shape[1])
            out[r0 - y : r1 - y, c0 - x : c1 - x] = pixels[
                r0 - top : r1 - top, c0 - left : c1 - left
            ]
        return out

    def provenance_of(self, part: tuple[int, int, int, int]) -> Provenance:
        """Say what made some pixels ``(x, y, width, height)``."""
        x, y, width, height = (float(value) * self.stride for value in part)
        return replace(self.provenance, box=(x, y, width, height))

    def pyramid(
        self,
        part: tuple[int, int, int, int] | None = None,
        coarsest: int = COARSEST,
    ) -> list[da.Array]:
        """Give all levels as Dask arrays, each half as large as the one before.

        A chunk is synthesised when it is computed. Coarser levels are means of the one
        below, so computing all of a coarse one makes the whole slide.

        Parameters
        ----------
        part : (x, y, width, height), optional
            Of these pixels only.
        coarsest : int
            The last level is at most this wide and high.
        """
        from napari_pathfm.synthesis._virtual_levels import pyramid_of

        return pyramid_of(self, part, coarsest)

    def _made(self, chunk: Chunk, on_step: OnStep | None) -> NDArray[np.uint8]:
        area = self.area(chunk)
        image = generate_area(
            self._generator,
            area.shape,
            area.starts,
            area.conditions,
            place=area.place,
            on_step=on_step,
            **self._asked,
        )
        return self.cut(chunk, area, image.pixels)


def _software() -> str:
    from napari_pathfm import __version__

    return f"napari-pathfm {__version__}"
