"""Patches for people to read: how many there are, what they cover and weigh, and where they lie, drawn over a slice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dacapo_like.core import Array
from dacapo_like.errors import ConfigError
from dacapo_like.experiment import Experiment
from dacapo_like.geometry import Roi
from dacapo_like.patches.cover import Cover
from dacapo_like.patches.grid import Patch
from dacapo_like.patches.sampler import PatchSampler
from dacapo_like.patches.together import Together
from dacapo_like.report import save_slices
from dacapo_like.settings import format_bytes

if TYPE_CHECKING:
    from rich.table import Table

_MOST_DRAWN = 100


def patches_table(experiment: Experiment) -> Table:
    """Make a table of all patches of an experiment, a row for each dataset; no voxel is read, but of masks that places are drawn by.

    Parameters
    ----------
    experiment : Experiment
        With `patches`.

    Raises
    ------
    ConfigError
        It has none, or no dataset of their split.
    """
    from rich.table import Table

    if not experiment.config.patches:
        raise ConfigError("no patches in the document", expected="an entry of `patches`")
    table = Table()
    for title in ("patches", "dataset", "patch", "number", "covers", "a patch", "all"):
        table.add_column(
            title, justify="right" if title in {"number", "a patch", "all"} else "left"
        )
    for name in experiment.config.patches:
        patches = experiment.patches(name)
        datasets = experiment.datasets(split=name)  # type: ignore[arg-type]  # `patches` found it
        for number, (dataset, source) in enumerate(zip(datasets, patches.sources, strict=True)):
            table.add_row(name, dataset.name, *_row(patches, number, source))
    return table


def _row(patches: PatchSampler | Cover, number: int, source: Together) -> tuple[str, ...]:
    shapes = ", ".join(
        f"{role} {'x'.join(map(str, shape))}" for role, shape in source.shapes.items()
    )
    weight = sum(
        math.prod(shape) * source.arrays[role].dtype.itemsize
        for role, shape in source.shapes.items()
    )
    if isinstance(patches, PatchSampler):
        count = patches.samples
        told = "no end" if count is None else f"{count} of all"
        return (
            shapes,
            told,
            "at random",
            format_bytes(weight),
            "" if count is None else format_bytes(count * weight),
        )
    grid = patches.grids[number]
    along = "x".join(map(str, grid.counts))
    part = _covered(source, patches, number)
    return (
        shapes,
        f"{len(grid)} ({along})",
        f"{part:.1%}",
        format_bytes(weight),
        format_bytes(len(grid) * weight),
    )


def _covered(source: Together, patches: Cover, number: int) -> float:
    """Give the part of the array that sizes are given in which some patch writes."""
    grid, whole = patches.grids[number], source.reference.array.spec.roi
    assert grid.lattice is not None  # noqa: S101  # it was made of arrays
    lengths = (
        sum(stop - first for first, stop in map(axis.write, range(len(axis)))) for axis in grid.axes
    )
    return float(math.prod(lengths) * math.prod(grid.lattice.voxel_size) / whole.size)


def save_patches(experiment: Experiment, name: str, path: str | Path) -> Path:
    """Draw the patches of a split over the middle slice of each of its datasets.

    Of patches that are drawn at random the first hundred are shown, wherever they lie; of a grid those that the slice meets.

    Parameters
    ----------
    experiment : Experiment
        With such patches.
    name : str
        Of the patches.
    path : path
        A PNG to write.

    Raises
    ------
    ConfigError
        There are no such patches.
    SpecError
        A dataset has fewer than two spatial axes.
    MissingExtraError
        matplotlib is not installed.
    """
    patches = experiment.patches(name)
    datasets = experiment.datasets(split=name)  # type: ignore[arg-type]  # `patches` found it
    arrays: dict[str, Array] = {
        dataset.name: source.reference.array
        for dataset, source in zip(datasets, patches.sources, strict=True)
    }
    outlines: dict[str, list[Roi]] = {title: [] for title in arrays}
    for title, roi in _places(patches, arrays):
        outlines[title].append(roi)
    return save_slices(arrays, path, outlines)


def _places(
    patches: PatchSampler | Cover, arrays: Mapping[str, Array]
) -> Iterator[tuple[str, Roi]]:
    names = list(arrays)
    if isinstance(patches, Cover):
        for name, grid in zip(names, patches.grids, strict=True):
            for patch in grid:
                yield name, _region(patch)
        return
    count = _MOST_DRAWN if patches.samples is None else min(patches.samples, _MOST_DRAWN)
    for index in range(count):
        source, patch = patches.where(0, index)
        whole, part = arrays[names[source]].roi, _region(patch)
        above = part.dims - 2  # shown wherever they lie there
        yield (
            names[source],
            Roi(
                whole.offset[:above] + part.offset[above:], whole.shape[:above] + part.shape[above:]
            ),
        )


def _region(patch: Patch) -> Roi:
    assert patch.lattice is not None  # noqa: S101  # it was made of arrays
    return patch.lattice.roi(patch.box)
