"""What operators on several arrays have in common: one grid, and what is refused or remarked where there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import attrs
import numpy as np

from dacapo_like.core import Array, ArrayConfig, Block, OperatorConfig, about, open_tree
from dacapo_like.errors import ConfigError, Remark, SpecError, format_key
from dacapo_like.geometry import Box, format_numbers
from dacapo_like.spec import ArraySpec, CommonGrid, common_grid


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SeveralConfig(OperatorConfig):
    """An operator on several arrays, on the region that all of them cover."""

    def remarks(self, *inputs: ArraySpec) -> Iterator[Remark]:
        """Say where units are unknown for some of the inputs only."""
        if len({None in spec.units for spec in inputs}) > 1:
            yield Remark(
                code="DL402",
                message="units are known for some of the sources only: the numbers are taken to mean the same",
                hint="give `units` on the sources that lack them",
                key=("sources",),
            )

    def _input_names(self) -> tuple[str, ...]:
        """Say how messages call each input."""
        return tuple(format_key(key) for key, _ in self.children())

    def _grid(self, inputs: Sequence[ArraySpec]) -> CommonGrid:
        return common_grid(tuple(inputs), self._input_names())

    def _same_leading_axes(
        self, inputs: Sequence[ArraySpec], *, but: Sequence[str] = ()
    ) -> dict[str, int]:
        """Give the leading axes, and their lengths, that all inputs have in one order, apart from those in `but`."""
        first = _leading_axes(inputs[0], but)
        for spec, name in zip(inputs, self._input_names(), strict=True):
            if list(_leading_axes(spec, but).items()) != list(first.items()):
                raise SpecError(
                    "arrays with different leading axes",
                    got=f"{name} has {' '.join(spec.axes)} of shape {spec.shape}",
                    expected=f"{' '.join(inputs[0].axes)} of shape {inputs[0].shape}, "
                    f"but for {'channels and ' if 'c' in but else ''}space",
                    key=("sources",),
                )
        return first


def _as_tuple(configs: Iterable[ArrayConfig]) -> tuple[ArrayConfig, ...]:
    return tuple(configs)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class VoxelwiseConfig(SeveralConfig):
    """An operator on a list of arrays with the same leading axes: a voxel is made of those at its place."""

    rigid: ClassVar[bool] = True
    source_array_configs: tuple[ArrayConfig, ...] = attrs.field(
        converter=_as_tuple, metadata=about("The arrays, in order.", key="sources")
    )

    def __attrs_post_init__(self) -> None:
        if not self.source_array_configs:
            raise ConfigError(
                "no sources", got="an empty list", expected="at least one array", key=("sources",)
            )

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Ask every input for the voxels at the same place."""
        grid = self._grid(inputs)
        return tuple(grid.box_in(i, box) for i in range(len(inputs)))

    def _common_spec(self, inputs: Sequence[ArraySpec], **changes: Any) -> ArraySpec:
        """Give the spec on the common grid; what was stored with one of the inputs does not describe the result."""
        self._same_leading_axes(inputs)
        channels = inputs[0].channels
        return self._grid(inputs).spec.replace(
            channels=channels if all(spec.channels == channels for spec in inputs) else None,
            attrs={},
            **changes,
        )

    def _describe_voxel(self, blocks: Sequence[Block], box: Box, at: Iterable[int]) -> str:
        """Name the voxel at an index of a box, by its index in the whole array and the world position of its corner."""
        spec = self._grid([block.spec for block in blocks]).spec
        index = tuple(a + b for a, b in zip(box.offset, at, strict=True))
        corner = spec.box_to_roi(Box(index, (1,) * len(index))).offset
        return f"voxel {index}, in the world {format_numbers(corner)} {spec.describe_unit()}"


def _leading_axes(spec: ArraySpec, but: Sequence[str]) -> dict[str, int]:
    axes = zip(spec.leading_axes, spec.leading_shape, strict=True)
    return {axis: length for axis, length in axes if axis not in but}


def promoted_dtype(inputs: Iterable[ArraySpec]) -> np.dtype[Any]:
    """Give the dtype that numpy promotes those of the inputs to.

    Raises
    ------
    SpecError
        Integers would become floats.
    """
    dtypes = [spec.dtype for spec in inputs]
    dtype: np.dtype[Any] = np.result_type(*dtypes)
    if dtype.kind == "f" and all(given.kind in "biu" for given in dtypes):
        raise SpecError(
            "no integer dtype holds all sources",
            got=", ".join(given.name for given in dtypes),
            expected="dtypes that combine without becoming floats",
            key=("sources",),
        )
    return dtype


def open_over(config_class: type[VoxelwiseConfig], arrays: Sequence[Array], **fields: Any) -> Array:
    """Put an operator on top of arrays that are open."""
    config = config_class(source_array_configs=[array.config for array in arrays], **fields)
    return open_tree(config, {array.config: array for array in arrays})
