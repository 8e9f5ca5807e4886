"""Overlapping tiles made as one: their velocities are averaged at every step.

As in MultiDiffusion (Bar-Tal et al. 2023), with weights that fall off towards each
tile's edge, so that nothing jumps where a tile ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_pathfm.generators._sampling import follow, guided, scheduler_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_pathfm.generators._flow import LatentFlow
    from napari_pathfm.generators._sampling import Velocity
    from napari_pathfm.generators._settings import Settings

    Cells = tuple[int, int]


def _nothing() -> None:
    """Nobody wants to know."""


def tent(side: int) -> NDArray[np.float32]:
    """Weights of a square window, float32 ``(side, side)``, highest in its middle.

    The product of two squared triangles, next to nothing at the edges, where a window
    must not be seen to end, but nowhere zero: a cell that only one window covers is
    that window's.
    """
    line = np.minimum(np.arange(side), np.arange(side)[::-1]) + 1.0
    line = (line / line.max()) ** 2
    weights: NDArray[np.float32] = (line[:, None] * line[None]).astype(np.float32)
    return weights


def fused(
    velocities: Sequence[Velocity],
    windows: Sequence[Cells],
    side: int,
    shape: Cells,
    after_window: Callable[[], None],
) -> Velocity:
    """Give the velocity of an area from those of its windows.

    Windows go through the network one at a time, so that rounding does not depend on
    how many there are.
    """
    weight = torch.from_numpy(tent(side))
    total = torch.zeros(shape)
    for r, c in windows:
        total[r : r + side, c : c + side] += weight
    # Cells of no window are left to themselves.
    total = total.clamp(min=float(weight.min()))

    def velocity(x: Tensor, t: float) -> Tensor:
        summed = torch.zeros_like(x, dtype=torch.float32)
        near = weight.to(x.device)
        for own, (r, c) in zip(velocities, windows, strict=True):
            place = (..., slice(r, r + side), slice(c, c + side))
            # As contiguous as a tile that is made alone, and so as exact.
            v = own(x[place].contiguous(), t)
            summed[place] += near * v.float()
            after_window()
        return summed / total.to(x.device)

    return velocity


def sample_area(
    flow: LatentFlow,
    noise: NDArray[np.float32],
    windows: Sequence[Cells],
    conditions: NDArray[np.float32] | None,
    settings: Settings,
    *,
    known: tuple[NDArray[np.uint8], NDArray[np.bool_]] | None,
    after_window: Callable[[], None],
    between_windows: Callable[[], None] = _nothing,
) -> NDArray[np.uint8]:
    """Make an area; uint8 ``(h * downsample, w * downsample, 3)``, glass elsewhere.

    Parameters
    ----------
    flow : LatentFlow
    noise : ndarray
        float32 ``(C, h, w)``.
    windows : sequence of (int, int)
        First cell of each, row and column.
    conditions : ndarray or None
        float32 ``(N, D)``, one per window.
    settings : Settings
        With a sampler that follows the flow.
    known : (ndarray, ndarray), optional
        uint8 pixels of the area, and bool ``(h, w)``: the cells to be made. After each
        step the others are set to what they are at that time of the flow, from the same
        noise.
    after_window : callable
        Called after each pass of the network.
    between_windows : callable
        Called after each window that is encoded or decoded.
    """
    with torch.inference_mode():
        start = torch.from_numpy(noise)[None].to(flow.device)
        rows = [None] * len(windows) if conditions is None else list(conditions)
        velocities = [
            guided(
                flow.network,
                None if row is None else _row(row, flow.device),
                settings.guidance,
                settings.interval,
            )
            for row in rows
        ]
        shape = (noise.shape[1], noise.shape[2])
        hold = None
        if known is not None:
            pixels, unknown = known
            there = encode_area(flow, pixels, windows, between_windows)
            free = torch.from_numpy(unknown).to(flow.device)

            def hold(x: Tensor, t: float) -> Tensor:
                return torch.where(free, x, (1 - t) * there + t * start)

        latents = follow(
            fused(velocities, windows, flow.side, shape, after_window),
            start,
            scheduler_for(settings.sampler, settings.steps),
            settings.steps,
            after_step=hold,
        )
        return decode_area(flow, latents, windows, between_windows)


def encode_area(
    flow: LatentFlow,
    pixels: NDArray[np.uint8],
    windows: Sequence[Cells],
    between_windows: Callable[[], None] = _nothing,
) -> Tensor:
    """Encode an area window by window, float32 ``(1, C, h, w)``; 0 where none is.

    Not at once: the autoencoder's norms average over what they see, which is a tile in
    training.
    """
    from napari_pathfm.generators._autoencoder import to_signed

    d, side = flow.downsample, flow.side
    weight = torch.from_numpy(tent(side)).to(flow.device)
    height, width = pixels.shape[0] // d, pixels.shape[1] // d
    summed = torch.zeros((1, flow.channels, height, width), device=flow.device)
    total = torch.zeros((height, width), device=flow.device)
    for r, c in windows:
        tile = pixels[r * d : (r + side) * d, c * d : (c + side) * d]
        image = to_signed(torch.from_numpy(tile.copy())[None]).to(flow.device)
        summed[..., r : r + side, c : c + side] += weight * flow.encode(image).float()
        total[r : r + side, c : c + side] += weight
        between_windows()
    return summed / total.clamp(min=float(weight.min()))


def decode_area(
    flow: LatentFlow,
    latents: Tensor,
    windows: Sequence[Cells],
    between_windows: Callable[[], None] = _nothing,
) -> NDArray[np.uint8]:
    """Decode window by window, blended where they overlap; white where none is.

    Only the rows of pixels that windows still to come may reach are held as floats.
    """
    d, side = flow.downsample, flow.side
    height, width = latents.shape[2] * d, latents.shape[3] * d
    pixels = np.full((height, width, 3), 255, np.uint8)
    weight = tent(side * d)[..., None]
    # The band from `top` on; as high as one window.
    band = np.zeros((side * d, width, 4), np.float32)
    top = 0

    def put_down(until: int) -> None:
        nonlocal top
        rows = min(until - top, side * d)
        if rows <= 0:
            return
        kept = band[: max(0, min(rows, height - top))]
        there = kept[..., 3:] > 0
        values = kept[..., :3] / np.where(there, kept[..., 3:], 1)
        scaled = np.rint(((values + 1) * 127.5).clip(0, 255)).astype(np.uint8)
        part = pixels[top : top + len(kept)]
        part[:] = np.where(there, scaled, part)
        band[:-rows] = band[rows:].copy()
        band[-rows:] = 0
        top = until

    for r, c in sorted(windows):
        put_down(r * d)
        window = latents[..., r : r + side, c : c + side].contiguous()
        image = flow.decode(window)[0].permute(1, 2, 0).float().cpu().numpy()
        place = band[:, c * d : (c + side) * d]
        place[..., :3] += weight * image
        place[..., 3:] += weight
        between_windows()
    put_down(top + side * d)
    return pixels


def _row(row: NDArray[np.float32], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(row, np.float32))[None].to(device)
