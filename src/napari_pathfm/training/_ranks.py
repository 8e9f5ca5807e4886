"""The processes of a run, as torchrun or ``accelerate launch`` start them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from napari_pathfm.encoders import choose_device
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor, nn

# Gradients travel in pieces of this many numbers.
_BUCKET = 1 << 24


@dataclass(frozen=True)
class Ranks:
    """Which of the processes this is, and what they tell one another.

    Attributes
    ----------
    device : torch.device
        Of this process.
    rank, size : int
        Which one, of how many.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their mean over the processes."""
        if self.size == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([t.reshape(-1) for t in bucket])
            dist.all_reduce(flat)
            flat /= self.size
            parts = flat.split([t.numel() for t in bucket])
            for tensor, part in zip(bucket, parts, strict=True):
                tensor.copy_(part.view_as(tensor))

    def total(self, tensor: Tensor) -> Tensor:
        """Sum over the processes, without gradient."""
        if self.size == 1:
            return tensor
        summed = tensor.clone()
        dist.all_reduce(summed)
        return summed

    def same_weights(self, module: nn.Module) -> None:
        """Give every process the first one's weights and buffers."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, 0)

    def same_buffers(self, module: nn.Module) -> None:
        """Replace running statistics by their mean over the processes."""
        self.share(b for b in module.buffers() if b.is_floating_point())

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the other processes, if there are any, and leave them at the end.

    Parameters
    ----------
    device : str
        ``"auto"`` or a torch device; of several processes each takes the CUDA device
        of its local rank.

    Raises
    ------
    PathfmError
        If there is no such device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    here = choose_device(device)
    if size == 1:
        yield Ranks(here)
        return
    if not dist.is_available():
        raise PathfmError("this build of PyTorch cannot train on several processes")
    if here.type == "cuda":
        here = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(here)
    dist.init_process_group("nccl" if here.type == "cuda" else "gloo")
    try:
        yield Ranks(here, dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    numbers = 0
    for tensor in tensors:
        if bucket and numbers + tensor.numel() > _BUCKET:
            yield bucket
            bucket, numbers = [], 0
        bucket.append(tensor)
        numbers += tensor.numel()
    if bucket:
        yield bucket
