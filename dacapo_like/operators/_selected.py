"""What operators have in common that select indices of one axis: of all that lie between, nothing is read."""

from __future__ import annotations

import operator
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, UnaryConfig
from dacapo_like.errors import ConfigError
from dacapo_like.geometry import Box
from dacapo_like.spec import ArraySpec


def as_index(value: Any, key: str) -> int:
    """Take an index, of numpy's types too.

    Raises
    ------
    ConfigError
        It is none.
    """
    try:
        if not isinstance(value, (bool, np.bool_)):
            return operator.index(value)
    except TypeError:
        pass
    raise ConfigError("not an index", got=repr(value), expected="an integer", key=(key,))


class Run(NamedTuple):
    """Consecutive indices of a source, and where they stand in the selection."""

    first: int
    at: int
    length: int


@attrs.frozen
class Selection:
    """Indices of one axis.

    Attributes
    ----------
    axis : int
        Which one.
    runs : tuple of Run
        The indices, in order.
    drop : bool
        Whether the axis is left out, being of length 1.
    """

    axis: int
    runs: tuple[Run, ...]
    drop: bool

    @property
    def length(self) -> int:
        """Number of indices."""
        return self.runs[-1].at + self.runs[-1].length

    def box_in(self, box: Box, run: Run) -> Box | None:
        """Give the voxels of the source that a box shows of one run; ``None`` where none."""
        outer = self._with_axis(box)
        low = max(outer.offset[self.axis], run.at)
        high = min(outer.end[self.axis], run.at + run.length)
        if low >= high:
            return None
        return Box(
            _put(outer.offset, self.axis, run.first + low - run.at),
            _put(outer.shape, self.axis, high - low),
        )

    def _with_axis(self, box: Box) -> Box:
        if not self.drop:
            return box
        return Box(_insert(box.offset, self.axis, 0), _insert(box.shape, self.axis, 1))

    def along_axis(self, values: Sequence[Any], kept: Any) -> tuple[Any, ...]:
        """Give what the selection has of values per axis, with another along its own, unless that is left out."""
        own = () if self.drop else (kept,)
        return (*values[: self.axis], *own, *values[self.axis + 1 :])

    def spec_of(self, source: ArraySpec, **changes: Any) -> ArraySpec:
        """Give the spec of what is selected."""
        n, chunks = self.length, source.chunk_shape
        return source.replace(
            axes=self.along_axis(source.axes, source.axes[self.axis]),
            shape=self.along_axis(source.shape, n),
            chunk_shape=None
            if chunks is None
            else self.along_axis(chunks, min(chunks[self.axis], n)),
            **changes,
        )

    def joined(self, box: Box, blocks: Sequence[Block], out: NDArray[Any] | None) -> NDArray[Any]:
        """Put the blocks of the runs together; a single one is passed on."""
        read = [block for block in blocks if block.box is not None]
        if len(read) == 1:
            data: NDArray[Any] = read[0].data
            return data[(slice(None),) * self.axis + (0,)] if self.drop else data
        result = np.empty(box.shape, blocks[0].spec.dtype) if out is None else out
        np.concatenate([block.data for block in read], axis=self.axis, out=result)
        return result


def runs_of(indices: Sequence[int]) -> tuple[Run, ...]:
    """Split indices where the next is not one more than the one before.

    Examples
    --------
    >>> runs_of([4, 5, 2])
    (Run(first=4, at=0, length=2), Run(first=2, at=2, length=1))
    """
    starts = [at for at, index in enumerate(indices) if at == 0 or index != indices[at - 1] + 1]
    stops = [*starts[1:], len(indices)]
    return tuple(Run(indices[a], a, b - a) for a, b in zip(starts, stops, strict=True))


class SelectedConfig(UnaryConfig):
    """An operator that selects indices of an axis; its source is an input once for every run of them."""

    rigid: ClassVar[bool] = True

    @abstractmethod
    def selection(self, source: ArraySpec) -> Selection:
        """Find the indices.

        Raises
        ------
        SpecError
            The source has no such axis, or one of them is not there.
        """

    def opened(self, *inputs: Array) -> Array:
        """Derive the spec."""
        (source,) = inputs
        runs = self.selection(source.spec).runs
        return Array(self, self.derive(source.spec), inputs=(source,) * len(runs))

    def view_offset(self, *inputs: ArraySpec) -> tuple[int, ...] | None:
        """Give the first index of the only run, where the axis is kept."""
        selection = self.selection(inputs[0])
        if selection.drop or len(selection.runs) > 1:
            return None
        return _put((0,) * inputs[0].ndim, selection.axis, selection.runs[0].first)

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Ask for what the box shows of each run."""
        selection = self.selection(inputs[0])
        return tuple(selection.box_in(box, run) for run in selection.runs)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Put the runs together."""
        return self.selection(blocks[0].spec).joined(box, blocks, out)


def _put(values: tuple[int, ...], axis: int, value: int) -> tuple[int, ...]:
    return (*values[:axis], value, *values[axis + 1 :])


def _insert(values: tuple[int, ...], axis: int, value: int) -> tuple[int, ...]:
    return (*values[:axis], value, *values[axis:])
