"""Ones and Constant: the grid of an array, filled; its voxels are never read."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Array, Block, UnaryConfig, about
from dacapo_like.errors import ConfigError
from dacapo_like.fields import plain
from dacapo_like.geometry import Box
from dacapo_like.padding import fitting_value
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec, infer_kind

_DTYPE = about("Of the voxels; by default the source's.")


def as_dtype_name(value: Any) -> str:
    """Give the canonical name of a dtype.

    Raises
    ------
    ConfigError
        Not a dtype of numbers.
    """
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError, SyntaxError, OverflowError) as error:
        raise ConfigError(
            "unknown dtype",
            got=repr(value),
            expected="a numpy dtype such as uint8 or float32",
            key=("dtype",),
        ) from error
    if dtype.kind not in "biuf":
        raise ConfigError(
            "dtype is no number's",
            got=dtype.name,
            expected="bool, an integer or a float",
            key=("dtype",),
        )
    return str(dtype.name)


class _FilledConfig(UnaryConfig):
    """What `ones` and `constant` share."""

    read_only: ClassVar[str | None] = "its value is said by the config, its voxels are not stored"
    rigid: ClassVar[bool] = True
    widens: ClassVar[bool] = True

    dtype: str | None
    value: Any

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Keep the source's grid."""
        (source,) = inputs
        dtype = np.dtype(self.dtype or source.dtype)
        kind = source.kind if dtype == source.dtype else infer_kind(dtype)
        spec = source.replace(dtype=dtype, kind=kind)
        try:
            fitting_value(self.value, spec.dtype)
        except ConfigError as error:
            error.key = ("value",)
            raise
        return spec

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:  # noqa: ARG002  # nothing is read
        """Ask for nothing."""
        return (None,)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Fill `out`, or give a view that takes no memory."""
        value = fitting_value(self.value, np.dtype(self.dtype or blocks[0].spec.dtype))
        if out is None:
            return np.broadcast_to(value, box.shape)
        out[...] = value
        return out


@register("constant")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class ConstantArrayConfig(_FilledConfig):
    """The grid of an array, filled with one value that its dtype can hold."""

    value: int | float = attrs.field(
        default=1,
        converter=plain,
        metadata=about("The value of every voxel.", also=("constant",)),
    )
    dtype: str | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_dtype_name), metadata=_DTYPE
    )


@register("ones")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class OnesArrayConfig(_FilledConfig):
    """The grid of an array, filled with ones."""

    dtype: str | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_dtype_name), metadata=_DTYPE
    )

    @property
    def value(self) -> int:
        """One."""
        return 1


@array_method
def constant_like(array: Array, value: float, *, dtype: Any = None) -> Array:
    """Fill the grid of an array with a value, see `ConstantArrayConfig`; also a method of arrays.

    Parameters
    ----------
    array : Array
        Its voxels are never read.
    value : number
        One that the dtype can hold.
    dtype : dtype, optional
        Of the voxels; by default the array's.

    Raises
    ------
    ConfigError
        The dtype cannot hold the value.

    Examples
    --------
    >>> from dacapo_like import from_numpy
    >>> constant_like(from_numpy(np.zeros((1, 2), "uint8")), 4).read()
    array([[4, 4]], dtype=uint8)
    """
    return array.apply(ConstantArrayConfig, value=value, dtype=dtype)


@array_method
def ones_like(array: Array, *, dtype: Any = None) -> Array:
    """Fill the grid of an array with ones, see `OnesArrayConfig`; also a method of arrays.

    Parameters
    ----------
    array : Array
        Its voxels are never read.
    dtype : dtype, optional
        Of the voxels; by default the array's.
    """
    return array.apply(OnesArrayConfig, dtype=dtype)
