"""How long it takes to verify documents.

An experiment of a thousand arrays, each in a Zarr of its own, is read, structured and opened, beside a loop of zarr-python that does
nothing but open each of the same arrays. Then thousands of documents are verified, which name a few volumes in turns.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import zarr

import dacapo_like
from benchmarks.measuring import race, timed
from benchmarks.results import Figure, Row, Table, at_most
from benchmarks.running import Run
from dacapo_like.config.verify import verify_all

TITLE = "Verifying"
VOLUMES = 20  # that the documents name
MOST_RATIO, MOST_SECONDS = at_most(1.5), at_most(10)


def write_volumes(folder: Path, number: int) -> list[Path]:
    """Write Zarrs without chunks: one by zarr-python, the others as copies."""
    folder.mkdir()
    first = folder / "0.zarr"
    array = zarr.create_array(first, shape=(512,) * 3, chunks=(64,) * 3, dtype="uint8")
    array.attrs.update({"voxel_size": [8] * 3, "offset": [0] * 3, "units": ["nm"] * 3})
    paths = [folder / f"{i}.zarr" for i in range(number)]
    for path in paths[1:]:
        shutil.copytree(first, path)
    return paths


def write_experiment(path: Path, volumes: list[Path]) -> Path:
    """Write an experiment over all volumes, every tenth of them with a dataset."""
    arrays = "".join(
        f"  raw_{i}: {{type: zarr, file_name: {json.dumps(str(volume))}}}\n"
        for i, volume in enumerate(volumes)
    )
    datasets = "".join(
        f"  - {{name: crop_{i}, raw: raw_{i}}}\n" for i in range(0, len(volumes), 10)
    )
    path.write_text(f"arrays:\n{arrays}datasets:\n{datasets}")
    return path


def write_documents(folder: Path, number: int, volumes: list[Path]) -> list[Path]:
    """Write documents of three operators, each over one of the volumes."""
    folder.mkdir()
    paths = [folder / f"{i}.yaml" for i in range(number)]
    for i, path in enumerate(paths):
        path.write_text(
            f"type: intensities\nmin: 0\nmax: {i + 1}\nsource:\n  type: crop\n"
            f"  source: {{type: zarr, file_name: {json.dumps(str(volumes[i % VOLUMES]))}}}\n"
            f"  roi: {{offset: [0, 0, {8 * (i % 64)}], shape: [512, 512, 512]}}\n"
        )
    return paths


def open_each(paths: list[Path]) -> None:
    """Open arrays with zarr-python."""
    for path in paths:
        zarr.open_array(path, mode="r")


def check(document: Path) -> None:
    """Verify a document that has no problems."""
    problems = dacapo_like.verify(document)
    if problems:
        raise AssertionError(problems[0])


def run(run: Run) -> Iterator[Table]:
    """Verify an experiment, then documents."""
    volumes = write_volumes(run.folder / "volumes", run.full(1000, VOLUMES))
    experiment = write_experiment(run.folder / "experiment.yaml", volumes)
    ways = {
        "verify": timed(lambda: check(experiment)),
        "zarr-python": timed(lambda: open_each(volumes)),
    }
    taken = race(ways, run.full(7, 1))
    case = f"an experiment of {len(volumes)} arrays"
    row = Row(case, taken["verify"], "zarr-python opens each", taken["zarr-python"], MOST_RATIO)
    yield Table("Headers", [row])
    documents = write_documents(run.folder / "documents", run.full(5000, 10), volumes)
    start = time.perf_counter()
    problems = sum(map(len, verify_all(documents)))
    if problems:
        raise AssertionError(f"{problems} problems in documents that have none")
    seconds = time.perf_counter() - start
    line = Figure(f"{len(documents)} documents", "time", seconds, "s", run.full(MOST_SECONDS, None))
    yield Table("Documents", [line])
