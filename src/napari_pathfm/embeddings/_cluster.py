"""A scheduler of dask.distributed to work with, and encoders on its workers."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_pathfm.encoders import Encoder, EncoderSpec

_PATIENCE_S = 30  # for a scheduler to answer


@dataclass(frozen=True)
class EncoderRecipe:
    """How each worker loads its encoder.

    Attributes
    ----------
    spec : EncoderSpec
        The catalogue's entry.
    weights : Path or None
        As `load_encoder` takes it; every worker must see it.
    device : str
        ``"auto"`` spreads local workers over the CUDA devices.
    pooling : str or None
        As `load_encoder` takes it.
    threads : int or None
        For PyTorch on each worker; None leaves that to Dask.
    precision : str
        As `load_encoder` takes it; each worker's device has a say.
    """

    spec: EncoderSpec
    weights: Path | None = None
    device: str = "auto"
    pooling: str | None = None
    threads: int | None = None
    precision: str = "auto"
    engine: str = "torch"

    def load(self, place: object) -> Encoder:
        """Load it on the worker of this name."""
        import torch

        from napari_pathfm.encoders import load_encoder

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        return load_encoder(
            self.spec,
            weights=self.weights,
            device=device_of(place, self.device, torch.cuda.device_count()),
            pooling=self.pooling,
            precision=self.precision,
            engine=self.engine,
        )


def device_of(place: object, device: str, cards: int) -> str:
    """Choose a worker's device: those of one machine are numbered, and take turns.

    dask-cuda shows each worker its own card first, and names workers otherwise.
    """
    if device == "auto" and cards > 1 and isinstance(place, int):
        return f"cuda:{place % cards}"
    return device


def threads_for(workers: int) -> int:
    """Share this machine's processors among workers."""
    return max(1, (os.cpu_count() or 1) // workers)


@contextmanager
def cluster_client(
    scheduler: str | None = None, *, workers: int | None = None
) -> Iterator[Any]:
    """Lend a client of a cluster.

    It is never Dask's default client: in napari, reading slides would go through it.

    Parameters
    ----------
    scheduler : str, optional
        Address (``tcp://host:8786``) or scheduler file (``*.json``) of a cluster.
    workers : int, optional
        Without a scheduler: processes to start on this machine, which end with the
        context.

    Yields
    ------
    distributed.Client

    Raises
    ------
    PathfmError
        If distributed is missing, no scheduler answers, or it has no workers.
    """
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise PathfmError(
            "--workers and --scheduler need distributed: pip install "
            "'napari-pathfm[distributed]'"
        ) from error
    with ExitStack() as stack:
        if scheduler is None:
            # Dask's profiler walks each worker's stack a hundred times a second.
            config = import_module("dask.config")
            stack.enter_context(
                config.set({"distributed.worker.profile.enabled": False})
            )
            where: dict[str, Any] = {
                "address": stack.enter_context(
                    distributed.LocalCluster(
                        n_workers=workers or 1,
                        threads_per_worker=1,  # one model, one range at a time
                        processes=True,
                        dashboard_address="127.0.0.1:0",  # 8787 may be in use
                        silence_logs=50,
                    )
                )
            }
        elif scheduler.endswith(".json"):
            where = {"scheduler_file": scheduler}
        else:
            where = {"address": scheduler}
        try:
            client = distributed.Client(
                **where, set_as_default=False, timeout=_PATIENCE_S
            )
        except (OSError, ValueError) as error:
            raise PathfmError(
                f"no scheduler answers at {scheduler}: check that it runs and can be "
                "reached from here"
            ) from error
        stack.enter_context(client)
        try:
            client.wait_for_workers(1, timeout=_PATIENCE_S)
        except TimeoutError as error:
            raise PathfmError(
                f"the scheduler at {client.scheduler.address} has no workers: start "
                "some"
            ) from error
        yield client
