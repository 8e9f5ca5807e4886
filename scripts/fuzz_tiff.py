"""Break slides at random for a while, and keep whatever is not said in one line.

``python3 scripts/setup.py python scripts/fuzz_tiff.py [--minutes 10] [--keep DIR]
[--seed N]`` runs it in the environment of the tests, whose dependency group brings
hypothesis; the system must be one that forks. Small slides in each layout of TIFF are
changed in one to six places: fields of their directories, bytes, spans, the length.
Each must be refused in one line that names the file, or open and say what cannot be
read, within five seconds of processor time and a gigabyte. What does otherwise is
written to DIR, by the shortest way to it that hypothesis finds; the exit status says
whether there was any.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "plugins"))
from broken_slides import write_good
from guarded import MEMORY, Guard, Look
from tiff_surgery import Surgery

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 5.0
EDGES = [0, 1, 2, 3, 7, 8, 15, 16, 127, 128, 255, 256, 32_768, 65_535, 2**20]
EDGES += [2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1]

values = st.one_of(st.sampled_from(EDGES), st.integers(0, 2**64 - 1))
places = st.floats(0, 1, exclude_max=True)
widths = st.sampled_from([1, 2, 4, 8])
change = st.one_of(
    st.tuples(st.just("field"), places, widths, values),
    st.tuples(st.just("value"), places, widths, values),
    st.tuples(st.just("bytes"), places, widths, values),
    st.tuples(st.just("noise"), places, st.integers(1, 5000), values),
    st.tuples(st.just("copy"), places, st.integers(1, 5000), values),
    st.tuples(st.just("cut"), places, st.integers(1, 5000), values),
    st.tuples(st.just("end"), places, st.just(0), values),
)


def apply(surgery: Surgery, kind: str, place: float, width: int, value: int) -> None:
    """Make one change."""
    content = surgery.content
    at = int(place * len(content))
    if kind in ("field", "value"):
        pages = [*surgery.pages, *surgery.children]
        entries = [tag for page in pages for tag in page.tags.values()]
        entry = entries[int(place * len(entries))]
        parts = (0, 2, 4, 8, 12) if surgery.big else (0, 2, 4, 8)
        inside = value % max(entry.length, 1)
        at = (
            entry.at + parts[value % len(parts)]
            if kind == "field"
            else entry.data + inside
        )
    if kind in ("field", "value", "bytes"):
        content[at : at + width] = (value % 256**width).to_bytes(width, "little")
    elif kind == "noise":
        content[at : at + width] = random.Random(value).randbytes(width)  # noqa: S311
    elif kind == "copy":
        start = value % max(len(content), 1)
        content[at : at + width] = content[start : start + width]
    elif kind == "cut":
        del content[at : at + width]
    else:
        del content[at:]


def problem(look: Look, name: str) -> str | None:
    """Say what is wrong with how a file was dealt with."""
    if look.end not in ("refused", "read"):
        return f"{look.end}: {look.message.strip().splitlines()[-1:]}"
    said = [text for _, _, text in look.broken]
    said += [look.message] if look.end == "refused" else []
    for text in said:
        if name not in text or "\n" in text:
            return f"said: {text}"
    if look.seconds > SECONDS:
        return "slow"
    return "takes more than a gigabyte" if look.peak > MEMORY else None


def main() -> int:
    """Fuzz for the time asked for; the exit status says whether anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    ends: collections.Counter[str] = collections.Counter()
    found: dict[str, Path] = {}
    slowest, most = 0.0, 0
    stop = time.monotonic() + 60 * options.minutes

    with tempfile.TemporaryDirectory() as scratch, Guard() as guard:
        folder = Path(scratch)
        good = write_good(folder)
        layouts = sorted(good)

        def examine(layout: str, changes: list[tuple[str, float, int, int]]) -> None:
            nonlocal slowest, most
            if time.monotonic() > stop:
                return
            surgery = Surgery(good[layout])
            for one in changes:
                apply(surgery, *one)
            suffix = "".join(good[layout].suffixes)
            path = surgery.save(folder / f"fuzzed{suffix}")
            look = guard.look(path)
            ends[look.end] += 1
            slowest, most = max(slowest, look.seconds), max(most, look.peak)
            wrong = problem(look, path.name)
            if wrong is not None:
                options.keep.mkdir(exist_ok=True)
                if wrong not in found:
                    found[wrong] = options.keep / f"{len(found)}{suffix}"
                    print(f"{wrong}\n    {layout} {changes}", flush=True)
                found[wrong].write_bytes(surgery.content)
                raise AssertionError(wrong)

        number = options.seed
        while time.monotonic() < stop:
            number += 1
            run: Callable[[], None] = seed(number)(
                settings(
                    max_examples=300,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                    report_multiple_bugs=False,
                )(
                    given(
                        st.sampled_from(layouts),
                        st.lists(change, min_size=1, max_size=6),
                    )(examine)
                )
            )
            try:
                run()
            except (AssertionError, Flaky):
                continue
    print(
        f"{sum(ends.values())} files in {options.minutes:g} minutes: {dict(ends)}; "
        f"slowest {slowest:.2f} s, most {most / 2**20:.0f} MiB; "
        f"{len(found)} kinds of finding"
    )
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
