"""What the voxels of arrays are, in one pass over each, block by block: for ``verify --deep``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.config.converter import Finding
from dacapo_like.config.opening import Opening, Progress
from dacapo_like.core import Array, ArrayConfig, SourceConfig, block_shape
from dacapo_like.errors import DacapoLikeError, KeyPath, ReadError, Remark
from dacapo_like.geometry import Box, blocks_of
from dacapo_like.operators._groups import GroupedConfig
from dacapo_like.operators.intensities import IntensitiesArrayConfig

Range: TypeAlias = tuple[float, float]
Sites: TypeAlias = list[tuple[KeyPath, ArrayConfig]]

_MOST_BAD_BLOCKS = 20
_MOST_IDS_SHOWN = 10
_FEW = 0.01
"""Part of the voxels that may lie outside of a range: scans have some that are brighter than what is of interest."""


@attrs.define
class Questions:
    """What is asked of the voxels of an array.

    Attributes
    ----------
    labels : set of int
        Do these occur?
    ranges : set of pair of float
        How many voxels lie outside of each?
    """

    labels: set[int] = attrs.field(factory=set)
    ranges: set[Range] = attrs.field(factory=set)


@attrs.define
class Survey:
    """What the voxels of an array are.

    Attributes
    ----------
    missing : set of int
        Labels that were asked for and did not occur.
    outside : dict
        Number of voxels outside of each range that was asked for.
    low, high : number or None
        The least and the greatest of the finite voxels; ``None`` where there are none.
    not_finite : int
        Number of voxels that are NaN or infinite.
    errors : list of DacapoLikeError
        Why blocks could not be read: nothing is known of their voxels.
    """

    missing: set[int]
    outside: dict[Range, int]
    low: Any = None
    high: Any = None
    not_finite: int = 0
    errors: list[DacapoLikeError] = attrs.field(factory=list)

    def take(self, block: NDArray[Any]) -> None:
        """Look at the voxels of one block."""
        if block.dtype.kind == "f":
            finite = np.isfinite(block)
            count = int(np.count_nonzero(finite))
            if count < block.size:
                self.not_finite += block.size - count
                block = block[finite]
        if not block.size:
            return
        low, high = block.min(), block.max()
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        for (first, last), count in self.outside.items():
            if low < first or high > last:
                beyond = np.count_nonzero((block < first) | (block > last))
                self.outside[first, last] = count + int(beyond)
        if self.missing:
            self._look_for_labels(block, int(low), int(high))

    def _look_for_labels(self, block: NDArray[Any], low: int, high: int) -> None:
        possible = sorted(label for label in self.missing if low <= label <= high)
        if possible:
            voxels = block.view(np.uint8) if block.dtype == np.bool_ else block
            ids = np.array(possible, voxels.dtype)
            self.missing.difference_update(ids[np.isin(ids, voxels)].tolist())


def survey(array: Array, questions: Questions, boxes: Iterable[Box]) -> Survey:
    """Look at all voxels of an array; of the memory for them, one block is taken at a time.

    Parameters
    ----------
    array : Array
        Any.
    questions : Questions
        What to find out beside what is always told.
    boxes : iterable of Box
        That cover it.

    Examples
    --------
    >>> import dacapo_like, numpy as np
    >>> array = dacapo_like.from_numpy(np.arange(8))
    >>> found = survey(array, Questions({3, 9}, {(0, 5)}), [array.spec.box])
    >>> found.missing, found.outside, (int(found.low), int(found.high))
    ({9}, {(0, 5): 2}, (0, 7))
    """
    found = Survey(set(questions.labels), dict.fromkeys(questions.ranges, 0))
    for box in boxes:
        try:
            block = array.read_box(box)
        except DacapoLikeError as error:
            found.errors.append(error)
        else:
            found.take(block)
    return found


def deep_findings(
    sites: Sites, opening: Opening, progress: Progress | None = None
) -> Iterator[tuple[Finding, Any]]:
    """Read what documents describe, and give what is wrong with the voxels, or looks wrong.

    Parameters
    ----------
    sites : list of key path and ArrayConfig
        Every config, with its place; those that did not open, or are not valid, are left out.
    opening : Opening
        Where the arrays are open.
    progress : callable, optional
        Is told of every chunk.
    """
    asked = _questions(
        config
        for _, config in sites
        if opening.array(config) is not None and not opening.is_faulty(config)
    )
    arrays = {config: array for config in asked if (array := opening.array(config)) is not None}
    shapes = {config: _block(array) for config, array in arrays.items()}
    total = sum(_number(array.shape, shapes[config]) for config, array in arrays.items())
    done = 0

    def walk(config: ArrayConfig) -> Iterator[Box]:
        nonlocal done
        for box in blocks_of(arrays[config].shape, shapes[config]):
            yield box
            done += 1
            if progress is not None:
                progress("chunks", done, total)

    found = {
        config: survey(arrays[config], questions, walk(config))
        for config, questions in asked.items()
    }
    for key, config in sites:
        if opening.array(config) is not None and not opening.is_faulty(config):
            yield from _findings(key, config, arrays, found)


def _block(array: Array) -> tuple[int, ...]:
    return tuple(max(n, 1) for n in block_shape(array.spec))


def _number(shape: tuple[int, ...], block: tuple[int, ...]) -> int:
    return math.prod(-(-n // b) for n, b in zip(shape, block, strict=True))


def _questions(configs: Iterable[ArrayConfig]) -> dict[ArrayConfig, Questions]:
    """Collect what is to be asked of which array, so that each is read once."""
    asked: dict[ArrayConfig, Questions] = {}
    for config in configs:
        if isinstance(config, SourceConfig):
            asked.setdefault(config, Questions())
        elif isinstance(config, GroupedConfig):
            wanted = {label for ids in config.groupings.values() for label in ids}
            if wanted:
                asked.setdefault(config.source_array_config, Questions()).labels |= wanted
        elif isinstance(config, IntensitiesArrayConfig) and not config.clip:
            asked.setdefault(config.source_array_config, Questions()).ranges.add(_range(config))
    return asked


def _range(config: IntensitiesArrayConfig) -> Range:
    return min(config.min, config.max), max(config.min, config.max)


def _findings(
    key: KeyPath,
    config: ArrayConfig,
    arrays: Mapping[ArrayConfig, Array],
    found: Mapping[ArrayConfig, Survey],
) -> Iterator[tuple[Finding, Any]]:
    if isinstance(config, SourceConfig):
        yield from ((Finding(key, error), "error") for error in _bad_blocks(found[config], config))
        remarks = _source_remarks(arrays[config], found[config])
    elif isinstance(config, GroupedConfig) and config.source_array_config in found:
        remarks = _label_remarks(config, found[config.source_array_config])
    elif isinstance(config, IntensitiesArrayConfig) and config.source_array_config in found:
        source = config.source_array_config
        remarks = _range_remarks(config, arrays[source], found[source])
    else:
        return
    for remark in remarks:
        said = DacapoLikeError(remark.message, hint=remark.hint, code=remark.code)
        yield Finding((*key, *remark.key), said), remark.severity


def _bad_blocks(found: Survey, config: ArrayConfig) -> Iterator[DacapoLikeError]:
    yield from found.errors[:_MOST_BAD_BLOCKS]
    more = len(found.errors) - _MOST_BAD_BLOCKS
    if more > 0:
        yield ReadError(f"{more} more chunks cannot be read", where=config.describe())


def _source_remarks(array: Array, found: Survey) -> Iterator[Remark]:
    voxels = math.prod(array.shape)
    if found.not_finite:
        yield Remark(
            code="DL413",
            message=f"voxels that are NaN or infinite: {found.not_finite} of {voxels}",
        )
    elif not found.errors and voxels > 1 and found.low is not None and found.low == found.high:
        empty = array.spec.kind != "image"
        if not empty or found.low == 0:
            yield Remark(
                code="DL412",
                message=f"all voxels are {found.low}"
                + (f": there is nothing in these {array.spec.kind}" if empty else ""),
                hint="chunks that are not there are read as the fill value"
                if array.spec.chunk_shape
                else None,
            )


def _label_remarks(config: GroupedConfig, found: Survey) -> Iterator[Remark]:
    if found.errors:  # they may be in what could not be read
        return
    for name, ids in config.groupings.items():
        absent = [str(label) for label in ids if label in found.missing]
        if absent:
            more = ", …" if len(absent) > _MOST_IDS_SHOWN else ""
            yield Remark(
                code="DL411",
                message=f"{len(absent)} of the {len(ids)} labels of group {name!r} never occur in the source: "
                f"{', '.join(absent[:_MOST_IDS_SHOWN])}{more}",
                key=("groupings", name),
            )


def _range_remarks(config: IntensitiesArrayConfig, array: Array, found: Survey) -> Iterator[Remark]:
    outside = found.outside.get(_range(config), 0)
    voxels = math.prod(array.shape)
    if outside > _FEW * voxels:
        yield Remark(
            code="DL414",
            message=f"{100 * outside / voxels:.3g} % of the voxels lie outside of {config.min:g} to "
            f"{config.max:g}: they are from {found.low} to {found.high}",
            hint="other `min` and `max` may be meant; `clip: true` cuts off what is outside",
        )
