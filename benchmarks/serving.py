"""What a server of arrays answers when many ask.

`dacapo-like serve` serves an image, and masks of groups of labels, both cropped, in a process of its own. 32 clients in another ask for chunks
anywhere in any level, each for the next one as soon as the last is there, and look at how many bytes come. *Decoded* are bytes of the chunks
of the sources, which the server keeps; those of coarser levels are made of many.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.results import Figure, Table, at_most
from benchmarks.running import Run
from benchmarks.volumes import CHUNK, image
from dacapo_like import from_numpy

TITLE = "Serving"
CLIENTS = 32
NO_ERRORS, TAIL = at_most(0), at_most(10)
MIB = 2**20


class Level(NamedTuple):
    """What is known of a level: its URL's path, the number of chunks along every axis, and the bytes of one."""

    path: str
    counts: Sequence[int]
    size: int


def run(run: Run) -> Iterator[Table]:
    """Serve, ask, and count."""
    seconds, edge = run.full(60.0, 1.0), run.full(512, 128)
    document = written(run.folder, edge)
    command = [Path(sys.executable).with_name("dacapo-like"), "serve", str(document)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            said = re.search(r"http://\S+", server.stdout.readline())
            assert said is not None
            yield asked(said[0], seconds)
        finally:
            server.terminate()


def written(folder: Path, edge: int) -> Path:
    """Write the sources, and the document."""
    voxels = image((edge,) * 3)
    for name, data, kind in (("raw", voxels, "image"), ("labels", voxels // 32, "labels")):
        array = from_numpy(data, voxel_size=(4, 4, 4), units="nanometer", kind=kind)
        array.save(folder / f"served_{name}.zarr", chunks=(CHUNK,) * 3, levels=1)
    crop = f"{{offset: [8, 8, 8], shape: [{4 * edge - 16}, {4 * edge - 16}, {4 * edge - 16}]}}"
    document = folder / "served.yaml"
    document.write_text(
        f"""arrays:
  raw: {{type: crop, roi: {crop}, source: {{type: zarr, file_name: served_raw.zarr}}}}
  masks:
    type: binarize
    groupings: {{a: [1, 2], b: [3], c: [4, 5, 6]}}
    source: {{type: crop, roi: {crop}, source: {{type: zarr, file_name: served_labels.zarr}}}}
"""
    )
    return document


def asked(url: str, seconds: float) -> Table:
    """Let clients ask for some seconds."""
    levels = [level for name in ("raw", "masks") for level in levels_of(url, name)]
    end = time.perf_counter() + seconds
    taken: list[list[float]] = [[] for _ in range(CLIENTS)]
    errors: list[str] = []
    clients = [
        threading.Thread(target=ask, args=(url, levels, number, end, taken[number], errors))
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    times = sorted(value for each in taken for value in each)
    counted = metrics(url)
    median = statistics.median(times)
    tail = times[int(0.99 * len(times))]
    served = counted["dacapo_like_voxel_bytes_total"]
    case = f"{CLIENTS} clients, {seconds:g} s"
    return Table(
        "Chunks of two arrays, anywhere in any level",
        [
            Figure(case, "answers that are no chunk, or a wrong one", len(errors), "", NO_ERRORS, exact=True),
            Figure(case, "answers a second", len(times) / seconds, ""),
            Figure(case, "voxels served a second", served / seconds / MIB, "MiB"),
            Figure(case, "median of an answer", 1e3 * median, "ms"),
            Figure(case, "99 of 100 answers, of the median", tail / median, "times", TAIL),
            Figure(case, "bytes decoded per byte of voxels served", counted["dacapo_like_decoded_bytes"] / served, ""),
        ],
    )  # fmt: skip


def levels_of(url: str, name: str) -> list[Level]:
    """Find the levels of an image."""
    group = json.loads(fetched(connection(url), f"/{name}/zarr.json"))
    found = []
    for dataset in group["attributes"]["ome"]["multiscales"][0]["datasets"]:
        path = f"/{name}/{dataset['path']}"
        array = json.loads(fetched(connection(url), f"{path}/zarr.json"))
        chunk = array["chunk_grid"]["configuration"]["chunk_shape"]
        counts = [-(-n // c) for n, c in zip(array["shape"], chunk, strict=True)]
        size = 1
        for n in chunk:
            size *= n
        found.append(Level(path, counts, size))
    return found


def ask(
    url: str, levels: Sequence[Level], seed: int, end: float, taken: list[float], errors: list[str]
) -> None:
    """Ask for chunks until the time is over."""
    draw, to = random.Random(seed), connection(url)
    while time.perf_counter() < end:
        level = draw.choice(levels)
        index = "/".join(str(draw.randrange(n)) for n in level.counts)
        start = time.perf_counter()
        try:
            data = fetched(to, f"{level.path}/c/{index}")
        except (OSError, http.client.HTTPException) as error:
            errors.append(repr(error))
            return
        taken.append(time.perf_counter() - start)
        if len(data) != level.size:
            errors.append(f"{len(data)} bytes at {level.path}/c/{index}")


def connection(url: str) -> http.client.HTTPConnection:
    place = urlsplit(url)
    return http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)


def fetched(to: http.client.HTTPConnection, path: str) -> bytes:
    """Fetch what is at a path; anything but success is an error."""
    to.request("GET", path)
    answer = to.getresponse()
    data = answer.read()
    if answer.status != 200:
        raise http.client.HTTPException(f"{answer.status} at {path}: {data[:200]!r}")
    return data


def metrics(url: str) -> Mapping[str, float]:
    """Give what the server counted."""
    text = fetched(connection(url), "/metrics").decode()
    return {
        name: float(value)
        for name, value in re.findall(r"^(\w+) ([0-9.e+-]+)$", text, re.MULTILINE)
    }
