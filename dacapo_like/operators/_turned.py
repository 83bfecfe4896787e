"""What operators have in common that turn an array around: its axes in another order, or mirrored, its voxels where they are in the world."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Block, UnaryConfig
from dacapo_like.errors import ConfigError
from dacapo_like.fields import first_repeated
from dacapo_like.geometry import Box
from dacapo_like.spec import ArraySpec, Directions

_OPPOSITE = dict(zip("RLAPSI", "LRPAIS", strict=True))


def axis_names(value: Any) -> tuple[str, ...]:
    """Take names of axes, each of them once.

    Raises
    ------
    ConfigError
        Something is no name, or stands there twice.
    """
    axes = tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(axis, str) for axis in axes):
        raise ConfigError(
            "axes have names", got=repr(value), expected="names such as x", key=("axes",)
        )
    repeated = first_repeated(axes)
    if repeated is not None:
        raise ConfigError("axes repeat", got=repeated, expected="every axis once", key=("axes",))
    return tuple(map(str, axes))


@attrs.frozen
class Turn:
    """Where each axis of an array comes from.

    Attributes
    ----------
    axes : tuple of str
        Names, in the new order.
    order : tuple of int
        The axis of the source that each of them is made of.
    mirrored : tuple of bool
        Whether it runs the other way.
    """

    axes: tuple[str, ...]
    order: tuple[int, ...]
    mirrored: tuple[bool, ...]

    def box_in(self, source: ArraySpec, box: Box) -> Box:
        """Give the voxels of the source that a box of the turned array shows."""
        offset, shape = [0] * source.ndim, [0] * source.ndim
        sides = zip(self.order, self.mirrored, box.offset, box.shape, strict=True)
        for axis, mirrored, first, count in sides:
            offset[axis] = source.shape[axis] - first - count if mirrored else first
            shape[axis] = count
        return Box(tuple(offset), tuple(shape))

    def view(self, data: NDArray[Any]) -> NDArray[Any]:
        """Turn voxels; nothing is copied."""
        steps = tuple(slice(None, None, -1 if mirrored else 1) for mirrored in self.mirrored)
        return data.transpose(self.order)[steps]

    def spec_of(self, source: ArraySpec) -> ArraySpec:
        """Give the spec of the turned array."""
        lead = len(source.leading_axes)
        space = [axis - lead for axis in self.order[lead:]]
        mirrored = self.mirrored[lead:]
        end = source.offset + source.voxel_size * source.spatial_shape
        chunks = source.chunk_shape
        if chunks is not None:  # mirrored, blocks begin at the chunks' ends
            keeps = all(
                source.shape[axis] % chunks[axis] == 0
                for axis, flip in zip(self.order, self.mirrored, strict=True)
                if flip
            )
            chunks = tuple(chunks[axis] for axis in self.order) if keeps else None
        return source.replace(
            axes=self.axes,
            shape=[source.shape[axis] for axis in self.order],
            voxel_size=[source.voxel_size[i] for i in space],
            offset=[
                -end[i] if flip else source.offset[i]
                for i, flip in zip(space, mirrored, strict=True)
            ],
            units=[source.units[i] for i in space],
            directions=self._directions(source),
            chunk_shape=chunks,
            attrs=self._attributes(source),
        )

    def _directions(self, source: ArraySpec) -> Directions | None:
        """Give the vectors of the new axes, components in the order of their names."""
        lead = len(source.leading_axes)
        identity = tuple(map(tuple, np.eye(source.dims).tolist()))
        vectors = source.directions or identity
        components = [source.spatial_axes.index(name) for name in self.axes[lead:]]
        turned = tuple(
            tuple((-1 if flip else 1) * vectors[axis - lead][i] + 0.0 for i in components)
            for axis, flip in zip(self.order[lead:], self.mirrored[lead:], strict=True)
        )
        return None if turned == identity else turned

    def _attributes(self, source: ArraySpec) -> Mapping[str, Any]:
        """Keep anatomical words, where a file's are remembered, with the axes that they are about."""
        changed = dict(source.attrs)
        words, header = changed.get("axis_orientation"), changed.get("nifti")
        if isinstance(words, Mapping):
            turned = self._each(source, words, _reversed_word)
            changed["axis_orientation"] = {axis: turned[axis] for axis in words if axis in turned}
        if isinstance(header, Mapping) and isinstance(header.get("orientation"), str):
            letters = dict(zip("xyz", header["orientation"], strict=False))
            turned = letters | self._each(source, letters, lambda c: _OPPOSITE.get(c, c))
            changed["nifti"] = {**header, "orientation": "".join(turned[axis] for axis in letters)}
        return changed

    def _each(
        self, source: ArraySpec, words: Mapping[str, Any], reverse: Callable[[str], str]
    ) -> dict[str, Any]:
        """Give each spatial axis the word of the axis that it is made of, or the opposite one."""
        lead = len(source.leading_axes)
        found = {}
        for name, axis, flip in list(zip(self.axes, self.order, self.mirrored, strict=True))[lead:]:
            word = words.get(source.axes[axis])
            found[name] = reverse(word) if flip and word else word
        return found


def _reversed_word(word: str) -> str:
    return "-to-".join(reversed(word.split("-to-")))


class TurnedConfig(UnaryConfig):
    """An operator that turns its source around."""

    read_only: ClassVar[str | None] = (
        "its voxels are in another order than those of its source: write to that"
    )

    @abstractmethod
    def turn(self, source: ArraySpec) -> Turn:
        """Say where each axis comes from.

        Raises
        ------
        SpecError
            The source cannot be turned like that.
        """

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Turn the frame with the voxels."""
        (source,) = inputs
        return self.turn(source).spec_of(source)

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Ask for the same voxels."""
        (source,) = inputs
        return (self.turn(source).box_in(source, box),)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:  # noqa: ARG002  # a view
        """Turn the block."""
        (block,) = blocks
        return self.turn(block.spec).view(block.data)
