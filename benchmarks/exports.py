"""What leaves and comes back: time, memory, and what is lost on the way.

``python benchmarks/exports.py`` prints, within five minutes on two cores:

- 10^6 tiles to GeoJSON, CSV and Parquet: seconds, and the memory of that process
- ``--cases`` random files of objects, to layers and back, and again: what was lost,
  and the largest distance of a vertex from where it was
- 20,000 polygons of 24 vertices: seconds to read, and to make layers of
- a ring of 10^7 vertices and 10^4 nested children: seconds, memory, outcome

``python scripts/setup.py --display python benchmarks/exports.py --window`` opens the
20,000 polygons in the real window instead and prints when the view pans freely.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely

TILES, POLYGONS = 1_000_000, 20_000


def apart(name: str, *arguments: object) -> None:
    """Run one part in a process of its own, whose memory is its own."""
    command = [sys.executable, __file__, "--part", name, *map(str, arguments)]
    subprocess.run(command, check=True)


def memory() -> str:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{peak / 2**20:.2f} GiB"


def grid() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    coords = np.stack(np.divmod(np.arange(TILES), 1000), axis=1) * 224
    return coords, {"score": np.random.default_rng(0).random(TILES)}


def tiles(folder: Path) -> None:
    from napari_pathfm.exports import tile_features, write_geojson

    coords, scores = grid()
    start = time.perf_counter()
    features = tile_features(coords, 224, scores, id_namespace="slide")
    write_geojson(folder / "tiles.geojson", features)
    seconds = time.perf_counter() - start
    print(f"10^6 tiles to GeoJSON: {seconds:.1f} s, {memory()}")


def tables(folder: Path) -> None:
    from napari_pathfm.exports import tile_table, write_table

    coords, scores = grid()
    for suffix in ("parquet", "csv"):
        start = time.perf_counter()
        table = tile_table(coords, 224, scores, mpp=0.25, id_namespace="slide")
        write_table(folder / f"tiles.{suffix}", table)
        seconds = time.perf_counter() - start
        print(f"10^6 tiles to {suffix}: {seconds:.1f} s, {memory()}")


def polygons(folder: Path) -> Path:
    """Write 20,000 detections of three classes over 40,000 px."""
    rng = np.random.default_rng(1)
    angle = np.arange(24) * (2 * np.pi / 24)
    features = []
    for number in range(POLYGONS):
        radius, centre = 20 + 5 * rng.random(24), rng.random(2) * 40_000
        ring = centre + np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None]
        ring = np.round([*ring, ring[0]], 2).tolist()
        title = {"name": "ABC"[number % 3], "color": [200, 60 * (number % 3), 0]}
        properties = {"objectType": "detection", "classification": title}
        properties["measurements"] = {"area": float(radius.mean()), "b": number}
        shape = {"type": "Polygon", "coordinates": [ring]}
        features.append(
            {"type": "Feature", "id": str(uuid.UUID(int=number + 1))}
            | {"geometry": shape, "properties": properties}
        )
    path = folder / "polygons.geojson"
    document = {"type": "FeatureCollection", "features": features}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def imported(folder: Path) -> None:
    from napari_pathfm.exports import objects_to_layers, read_geojson

    path = polygons(folder)
    start = time.perf_counter()
    objects = read_geojson(path)
    read = time.perf_counter() - start
    layers = objects_to_layers(objects, mpp=0.25)
    made = time.perf_counter() - start - read
    kinds = ", ".join(kind for _, _, kind in layers)
    print(f"20,000 polygons: read {read:.2f} s, made layers ({kinds}) {made:.2f} s")


def hostile(folder: Path) -> None:
    from napari_pathfm.errors import PathfmError
    from napari_pathfm.exports import read_geojson

    ring = folder / "ring.geojson"
    with open(ring, "w", encoding="utf-8") as file:
        file.write('[{"type":"Feature","geometry":{"type":"Polygon","coordinates":[[')
        for start in range(0, 10**7, 10**5):
            part = ",".join(f"[{n},{n % 9973}]" for n in range(start, start + 10**5))
            file.write(("," if start else "") + part)
        file.write(']]},"properties":{}}]')
    deep = folder / "deep.geojson"
    point = json.dumps({"type": "Point", "coordinates": [1, 2]})
    head = f'{{"geometry":{point},"properties":{{"childObjects":['
    deep.write_text("[" + head * 10_000 + "]}}" * 10_000 + "]", encoding="utf-8")
    for path in (deep, ring):
        start = time.perf_counter()
        try:
            outcome = f"{len(read_geojson(path)):,} objects"
        except PathfmError as error:
            outcome = str(error).replace(str(folder), "")
        seconds = time.perf_counter() - start
        print(f"{path.name}: {seconds:.1f} s, {memory()}, {outcome}")


def random_objects(rng: np.random.Generator):
    """A few objects of every kind, at places up to 150,000 px."""
    from napari_pathfm.exports import QuPathObject, QuPathObjects

    def word() -> str:
        return "".join(
            rng.choice(list("abc π\"'\\é漢-_.#"), rng.integers(1, 9))
        ).strip()

    def color() -> tuple[int, ...]:
        return tuple(int(channel) for channel in rng.integers(0, 256, 3))

    classes = {f"{word() or 'x'}{n}": color() for n in range(3)}
    classes |= {f"{name}: Positive": color() for name in list(classes)}
    objects = QuPathObjects()
    for number in range(rng.integers(1, 7)):
        x, y, size = *rng.random(2) * 150_000, 1 + rng.random() * 3000
        angle = np.linspace(0, 2 * np.pi, rng.integers(4, 20))[:-1]
        radius = size * (1 + rng.random(len(angle)))
        star = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)
        hole = (star - (x, y)) * 0.3 + (x, y)
        ring = shapely.Polygon(star, [hole])
        geometry = [
            shapely.Polygon(star),
            ring,
            shapely.MultiPolygon([ring, shapely.Polygon(star + 6 * size)]),
            shapely.LineString(star),
            shapely.Point(x, y),
            shapely.MultiPoint(star),
        ][rng.integers(6)]
        title = None if rng.random() < 0.3 else str(rng.choice(list(classes)))
        own = None if rng.random() < 0.5 else color()
        values = [1.5, np.nan, np.inf, -np.inf, rng.random(), -0.0, 1e300]
        objects.append(
            QuPathObject(
                geometry,
                object_type=str(
                    rng.choice(["annotation", "detection", "cell", "tile"])
                ),
                id=str(uuid.UUID(bytes=rng.bytes(16))),
                name=word() or None,
                classification=title,
                color=classes[title] if title else own,
                object_color=own if title else None,
                measurements={
                    f"m {n} {word()}": float(rng.choice(values))
                    for n in range(rng.integers(4))
                },
                metadata={f"k{n}": word() for n in range(rng.integers(3))},
                locked=bool(rng.random() < 0.5),
                parent=int(rng.integers(number))
                if number and rng.random() < 0.5
                else None,
                extra={"x": [word(), None, {"y": 1.5}]} if rng.random() < 0.5 else {},
            )
        )
    return objects


def distance(a, b) -> float:
    outlines = [shape.boundary if shape.area else shape for shape in (a, b)]
    return max(
        float(shapely.distance(shapely.points(shapely.get_coordinates(one)), two).max())
        for one, two in (outlines, outlines[::-1])
    )


def trips(folder: Path, cases: int) -> None:
    """File, layers as napari keeps them (float32, pandas), file; then once more."""
    import pandas as pd

    from napari_pathfm.exports import (
        export_layers_geojson,
        objects_to_layers,
        read_geojson,
        write_objects,
    )

    lost: dict[str, int] = {}
    farthest, count = 0.0, 0
    start = time.perf_counter()
    for case in range(cases):
        rng = np.random.default_rng(case)
        before = random_objects(rng)
        path = folder / "trip.geojson"
        write_objects(path, before)
        for _ in range(2):
            layers = []
            for data, attributes, kind in objects_to_layers(
                read_geojson(path), mpp=[None, 0.2525][case % 2]
            ):
                if kind == "shapes":
                    data = [np.asarray(shape, np.float32) for shape in data]
                table = pd.DataFrame(attributes["features"])
                layers.append((data, attributes | {"features": table}, kind))
            export_layers_geojson(layers, path)
        after = read_geojson(path)
        found = {item.id: item for item in after}
        count += len(before)
        for item in before:
            other = found.get(item.id)
            if other is None:
                lost["objects"] = lost.get("objects", 0) + 1
                continue
            farthest = max(farthest, distance(item.geometry, other.geometry))
            parent = None if other.parent is None else after[other.parent].id
            theirs = None if item.parent is None else before[item.parent].id
            if parent != theirs:
                lost["parents"] = lost.get("parents", 0) + 1
            same = replace(other, geometry=item.geometry, parent=item.parent)
            for field in item.__dataclass_fields__:
                if repr(getattr(item, field)) != repr(getattr(same, field)):
                    lost[field] = lost.get(field, 0) + 1
    seconds = time.perf_counter() - start
    print(
        f"{cases:,} random files, {count:,} objects, two round trips each, "
        f"{seconds:.0f} s: lost {lost or 0}, farthest vertex {farthest:.5f} px"
    )


def window(folder: Path) -> None:
    import napari
    from qtpy.QtWidgets import QApplication

    path = polygons(folder)
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    viewer.add_image(np.zeros((400, 400), np.uint8), scale=(25, 25), units=("um", "um"))
    for _ in range(20):
        QApplication.processEvents()
    start, processor = time.perf_counter(), time.process_time()
    layers = viewer.open(str(path), plugin="napari-pathfm")
    camera = viewer.scene.camera
    steps = []
    for step in range(10):
        before = time.perf_counter()
        camera.center = (5000 + 50 * step, 5000)
        camera.zoom = 0.5
        QApplication.processEvents()
        viewer.screenshot(flash=False)
        steps.append(time.perf_counter() - before)
        if step == 0:
            first = time.perf_counter() - start
            processor = time.process_time() - processor
    kinds = ", ".join(type(layer).__name__ for layer in layers)
    print(
        f"20,000 polygons in the window ({kinds}): {first:.2f} s until a pan is "
        f"drawn ({processor:.2f} s of processor); a pan then takes "
        f"{1000 * float(np.median(steps[1:])):.0f} ms"
    )
    viewer.layers.clear()
    QApplication.processEvents()
    start, processor = time.perf_counter(), time.process_time()
    viewer.open(str(path), plugin="napari-pathfm")
    QApplication.processEvents()
    viewer.screenshot(flash=False)
    print(
        f"the same file once more: {time.perf_counter() - start:.2f} s "
        f"({time.process_time() - processor:.2f} s of processor)"
    )
    viewer.close()


PARTS = {
    "tiles": tiles,
    "tables": tables,
    "imported": imported,
    "hostile": hostile,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--window", action="store_true")
    parser.add_argument("--part", choices=[*PARTS, "trips"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.window:
            window(folder)
        elif options.part == "trips":
            trips(folder, options.cases)
        elif options.part:
            PARTS[options.part](folder)
        else:
            for part in PARTS:
                apart(part)
            apart("trips", "--cases", options.cases)


if __name__ == "__main__":
    main()
