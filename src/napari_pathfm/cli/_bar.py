"""A progress bar on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress_bar(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Give a ``progress(done, total)`` that draws on stderr if it is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from tqdm import tqdm

    with tqdm(desc=what, unit=unit, dynamic_ncols=True) as bar:

        def draw(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield draw


@contextmanager
def named_bars(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """Give a ``progress(name, done, total)`` that draws a bar for each name."""
    with ExitStack() as all_bars:
        bars: dict[str, tuple[ExitStack, Callable[[int, int], None]]] = {}

        def draw(name: str, done: int, total: int) -> None:
            if name not in bars:
                bar = all_bars.enter_context(ExitStack())
                bars[name] = bar, bar.enter_context(progress_bar(name, unit))
            bar, draw_one = bars[name]
            draw_one(done, total)
            if done == total:
                bar.close()

        yield draw
