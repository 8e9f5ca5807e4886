"""Two workers over one: a slide on a cluster of each, in turns.

``python benchmarks/workers.py SLIDE [--mpp M] [--stride PX] [--rounds N]`` prints the
median of the rounds' ratios; each worker encodes with one thread. Two idle cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from napari_pathfm.embeddings import (
    EncoderRecipe,
    RunSettings,
    SlideEntry,
    cluster_client,
    embed_slides_on,
)
from napari_pathfm.encoders import encoder_spec


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--stride", type=float, default=56)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    entry = SlideEntry(options.slide, options.mpp)
    settings = RunSettings(stride=options.stride)
    recipe = EncoderRecipe(encoder_spec("bundled"), threads=1)
    ratios = []
    with cluster_client(workers=1) as one, cluster_client(workers=2) as two:

        def run(client: object, name: str) -> float:
            with tempfile.TemporaryDirectory() as out:
                began = time.monotonic()
                (report,) = embed_slides_on(
                    client, [entry], recipe, out, settings=settings
                )
                seconds = time.monotonic() - began
            print(f"{name}: {report.tiles} tiles, {report.tiles / seconds:.1f} tiles/s")
            return seconds

        for client, name in ((one, "one, first"), (two, "two, first")):
            run(client, name)  # the workers load the encoder
        for _ in range(options.rounds):
            ratios.append(run(one, "one") / run(two, "two"))
    print(f"two workers over one: {statistics.median(ratios):.2f} ({ratios})")


if __name__ == "__main__":
    main()
