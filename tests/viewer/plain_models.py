"""The fakes of `fakes`, with a generator whose inside can be had."""

from __future__ import annotations

from fakes import FakeModels
from plain_generator import PlainGenerator


class PlainModels(FakeModels):
    """Areas and virtual slides in milliseconds."""

    def __init__(self, generator: PlainGenerator | None = None) -> None:
        super().__init__()
        self.fake_generator = generator or PlainGenerator()
