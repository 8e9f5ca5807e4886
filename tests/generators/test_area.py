"""Areas: fused windows, noise of a place, and what is known kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pathfm.errors import Cancelled, PathfmError
from napari_pathfm.generators import (
    LatentFlow,
    area_settings,
    generate_area,
    load_generator,
)
from napari_pathfm.generators._fusion import sample_area, tent
from napari_pathfm.generators._noise import placed_noise
from napari_pathfm.generators._settings import Settings

EULER = Settings("euler", 4, 1.0, (0.0, 1.0), "own")


@pytest.fixture(scope="module")
def generator():
    return load_generator(device="cpu")


@pytest.fixture(scope="module")
def conditions():
    rng = np.random.default_rng(1)
    return rng.normal(size=(3, 192)).astype(np.float32)


def linear_flow(seen=None) -> LatentFlow:
    """A flow whose end is known: to the condition's first value, everywhere."""

    def network(x, t, condition, drop):
        if seen is not None:
            seen.append(x.clone())
        goal = 0.0 if condition is None else condition[:, 0].view(-1, 1, 1, 1)
        return (x - goal) / t.view(-1, 1, 1, 1)

    return LatentFlow(
        network=network,
        encode=lambda images: images.mean(1, keepdim=True)[..., ::2, ::2],
        decode=lambda z: (
            z.repeat_interleave(2, -1).repeat_interleave(2, -2).expand(-1, 3, -1, -1)
        ),
        channels=1,
        side=4,
        downsample=2,
        device=torch.device("cpu"),
    )


def sampled(flow, shape, windows, goals, known=None):
    return sample_area(
        flow,
        placed_noise(0, 1, 0, 0, *shape),
        windows,
        np.array(goals, np.float32)[:, None],
        EULER,
        known=known,
        after_window=lambda: None,
    )


def test_noise_belongs_to_its_place_and_seed():
    whole = placed_noise(5, 3, -20, 7, 50, 60)
    part = placed_noise(5, 3, -3, 30, 11, 20)
    np.testing.assert_array_equal(part, whole[:, 17:28, 23:43])
    assert (placed_noise(6, 3, -3, 30, 11, 20) != part).all()
    large = placed_noise(0, 4, 0, 0, 200, 200)
    assert abs(large.mean()) < 0.01
    assert large.std() == pytest.approx(1, abs=0.01)
    # Neighbouring blocks have nothing to do with each other.
    blocks = large[0, :192, :192].reshape(12, 16, 12, 16).swapaxes(1, 2)
    flat = blocks.reshape(144, 256)
    assert np.abs(np.corrcoef(flat) - np.eye(144)).max() < 0.3


def test_overlapping_windows_blend_from_one_goal_to_the_other():
    pixels = sampled(linear_flow(), (4, 6), [(0, 0), (0, 2)], [-0.5, 0.5])
    line = pixels[0, ::2, 0].astype(int)
    assert np.abs(line[:2] - 63.75).max() <= 1
    assert np.abs(line[4:] - 191.25).max() <= 1
    assert line[1] < line[2] < line[3] < line[4]
    assert tent(4)[0, 0] > 0


def test_cells_of_no_window_come_out_white():
    pixels = sampled(linear_flow(), (4, 10), [(0, 0), (0, 6)], [-1, -1])
    assert (pixels[:, 8:12] == 255).all()
    assert (pixels[:, :8] == 0).all()
    assert (pixels[:, 12:] == 0).all()


def test_what_is_known_is_held_at_every_step():
    """The network sees known cells as they are at that time of the flow."""
    seen: list[torch.Tensor] = []
    flow = linear_flow(seen)
    there = np.full((8, 8, 3), 255, np.uint8)
    unknown = np.zeros((4, 4), bool)
    unknown[1:3, 1:3] = True
    pixels = sampled(flow, (4, 4), [(0, 0)], [-1.0], known=(there, unknown))
    noise = torch.from_numpy(placed_noise(0, 1, 0, 0, 4, 4))[None]
    free = torch.from_numpy(unknown)
    assert len(seen) == EULER.steps
    for state, t in zip(seen, (1, 0.75, 0.5, 0.25), strict=True):
        wanted = (1 - t) * 1.0 + t * noise
        torch.testing.assert_close(state[..., ~free], wanted[..., ~free])
    hidden = unknown.repeat(2, 0).repeat(2, 1)
    assert (pixels[hidden] == 0).all()
    assert (pixels[~hidden] == 255).all()


def test_one_window_is_one_tile_and_others_do_not_change_it(generator, conditions):
    """Far windows share nothing; the same place gives the same pixels."""
    settings = {"sampler": "euler", "steps": 2, "seed": 3}
    alone = generate_area(generator, (28, 28), [(0, 0)], conditions[:1], **settings)
    two = generate_area(
        generator, (28, 60), [(0, 0), (0, 32)], conditions[:2], **settings
    )
    np.testing.assert_array_equal(two.pixels[:, :224], alone.pixels)
    moved = generate_area(
        generator, (28, 28), [(0, 0)], conditions[1:2], place=(0, 32), **settings
    )
    np.testing.assert_array_equal(two.pixels[:, 256:], moved.pixels)
    told = two.provenance
    assert told.mpp == generator.spec.mpp
    assert len(told.condition_sha256) == 64
    assert told.condition_sha256 != alone.provenance.condition_sha256


def test_passes_are_counted_and_stopping_takes_one(generator, conditions):
    calls: list[tuple[int, int]] = []

    def stop(step, total, _):
        calls.append((step, total))
        return len(calls) < 3

    with pytest.raises(Cancelled):
        generate_area(
            generator,
            (28, 42),
            [(0, 0), (0, 14)],
            conditions[:2],
            sampler="heun",
            steps=2,
            on_step=stop,
        )
    assert calls == [(1, 6), (2, 6), (3, 6)]


def test_stopping_while_pixels_are_made_takes_one_window(generator, conditions):
    """Decoding counts too: an area of a thousand tiles decodes for minutes."""
    calls: list[tuple[int, int]] = []

    def stop(step, total, _):
        calls.append((step, total))
        return len(calls) < 3

    with pytest.raises(Cancelled):
        generate_area(
            generator,
            (28, 42),
            [(0, 0), (0, 14)],
            conditions[:2],
            sampler="euler",
            steps=1,
            on_step=stop,
        )
    # Two passes, then one window decoded of two.
    assert calls == [(1, 2), (2, 2), (2, 2)]


def test_senseless_areas_are_refused(generator, conditions):
    with pytest.raises(PathfmError, match="1 conditions for 2 windows"):
        generate_area(generator, (28, 42), [(0, 0), (0, 14)], conditions[:1])
    with pytest.raises(PathfmError, match="leaves the area of 28 x 42 cells"):
        generate_area(generator, (28, 42), [(0, 15)], conditions[:1])
    with pytest.raises(PathfmError, match="choose one of heun, euler, dpm"):
        area_settings(generator, sampler="sde", steps=1, guidance=1, preset=None)
