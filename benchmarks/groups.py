"""How long it takes to look labels up in groups.

`binarize` of 128³ labels of 64 bits, with eight groups of 1 to 200 ids, into memory that is there. The labels are real ones where the
run has some, and cells with random ids of 63 bits: where ids are small numbers, `np.isin` looks them up in a table. *Copying the
labels into the output* is one pass over as much memory as the look-up has to read and to write: eight bytes in, eight masks of one
byte out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dacapo_like
from benchmarks.measuring import race, timed
from benchmarks.reading.serving import Box
from benchmarks.results import Table, at_least, at_most, beside
from benchmarks.running import Run
from benchmarks.volumes import cells, groups_of, segmentation

TITLE = "Groups of labels"
OURS, ISIN, COPY = "binarize", "np.isin per group", "copying the labels into the output"
PEER = "fastremap, mask_except per group"
GROUPS = (1, 2, 5, 10, 25, 50, 100, 200)
WANTED = {ISIN: at_least(15), COPY: at_most(2)}


def by_isin(labels: NDArray[Any], groups: list[NDArray[Any]], out: NDArray[np.uint8]) -> None:
    for channel, ids in zip(out, groups, strict=True):
        channel[...] = np.isin(labels, ids)


def compared(run: Run, labels: NDArray[np.uint64]) -> Table:
    """Mark groups by all means, ours first."""
    groups = groups_of(labels, GROUPS)
    array = dacapo_like.from_numpy(labels, kind="labels").binarize(groups)
    out, expected = (np.empty((len(groups), *labels.shape), np.uint8) for _ in range(2))
    ids = [np.array(group, np.uint64) for group in groups.values()]
    by_isin(labels, ids, expected)
    np.testing.assert_array_equal(array.read(), expected)
    ways = {
        OURS: timed(lambda: array.read(out=out)),
        ISIN: timed(lambda: by_isin(labels, ids, out)),
        COPY: timed(lambda: np.copyto(out.reshape(-1).view(np.uint64), labels.reshape(-1))),
        "filling the output": timed(lambda: out.fill(1)),
    }
    file = run.folder / f"labels_{labels.max()}.npy"
    np.save(file, labels)
    peer = run.read_by("formats", PEER, file=str(file), groups=list(groups.values()))
    if peer is not None:
        box = Box((0,) * 3, labels.shape)
        np.testing.assert_array_equal(peer.voxels([box])[0], expected)
        ways[PEER] = peer.way(lambda _: [box])
    title = f"{labels.shape[0]}³ labels up to {float(labels.max()):.0e}, 8 groups of 1 to 200 ids"
    taken = race(ways, run.full(25, 1))
    return Table(title, beside("", taken, OURS, WANTED, slower=[PEER]))


def run(run: Run) -> Iterator[Table]:
    """Mark groups of real labels, if there are some, and of drawn ones."""
    edge = run.full(128, 32)
    if run.labels is not None:
        yield compared(run, segmentation(edge, run.labels))
    yield compared(run, cells(edge))
