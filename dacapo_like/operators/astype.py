"""Astype: voxels of another dtype, rounded and clipped as is said, and not otherwise."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple, get_args

import attrs
import numpy as np
from numpy.typing import DTypeLike, NDArray

from dacapo_like.core import Array, Block, UnaryConfig, about
from dacapo_like.errors import ConfigError, ReadError, SpecError, check_choice
from dacapo_like.fields import plain
from dacapo_like.geometry import Box, format_numbers
from dacapo_like.operators.constant import as_dtype_name
from dacapo_like.padding import fitting_value
from dacapo_like.registry import array_method, register
from dacapo_like.spec import ArraySpec

Rounding = Literal["error", "nearest-even", "floor", "ceil", "trunc"]

_ROUND = {"nearest-even": np.rint, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc}


def _dtype(value: Any) -> str:
    try:
        return as_dtype_name("none" if value is None else value)  # which numpy takes for float64
    except ConfigError as error:
        error.key = ("dtype",)
        raise


@register("astype")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class AstypeArrayConfig(UnaryConfig):
    """The voxels of an array in another dtype; what would change a value is an error, unless it is asked for.

    - In an integer dtype, or bool, a fraction is an error, or rounded as `round` says.
    - A value that is out of range, once it is rounded, is an error, or with `clip` the nearest that the dtype has. So is a
      finite one that a narrower float cannot hold.
    - NaN is an error in integers and stays in floats, or is what `nan` says.
    - Floats become the nearest that a narrower float has, and so do integers of images that are too large to be exact in a float.

    Labels keep their ids: they are neither rounded nor clipped, and an id that the dtype cannot tell apart from all others is an error. The kind
    stays, except that bool is always a mask. An error names the voxel, when it is read.
    """

    read_only: ClassVar[str | None] = "its dtype is another than that of what is stored"
    rigid: ClassVar[bool] = True

    dtype: str = attrs.field(
        converter=_dtype, metadata=about("Of the voxels: bool, an integer or a float.")
    )
    round: Rounding = attrs.field(
        default="error",
        metadata=about(
            "How fractions become integers: `nearest-even` (halves to even), `floor`, `ceil`, `trunc` (towards 0), or not at all."
        ),
    )
    clip: bool = attrs.field(
        default=False,
        converter=plain,
        metadata=about("Whether values out of range become the nearest that the dtype has."),
    )
    nan: int | float | None = attrs.field(
        default=None, converter=plain, metadata=about("What stands in the place of NaN.")
    )

    def __attrs_post_init__(self) -> None:
        check_choice("round", self.round, get_args(Rounding))
        if self.nan is not None:
            try:
                fitting_value(self.nan, np.dtype(self.dtype))
            except ConfigError as error:
                error.key = ("nan",)
                raise

    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Keep all but the dtype."""
        (source,) = inputs
        if source.kind == "labels":
            rounds = self.round != "error" and source.dtype.kind == "f"
            for key, loses in (("clip", self.clip), ("round", rounds)):
                if loses:
                    raise SpecError(
                        f"`{key}` would make one id of several",
                        got=f"labels of {source.dtype.name}",
                        expected="labels as they are",
                        hint="say `kind: image` on the source if its voxels are intensities",
                        key=(key,),
                    )
        dtype = np.dtype(self.dtype)
        return source.replace(dtype=dtype, kind="mask" if dtype.kind == "b" else source.kind)

    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:  # noqa: ARG002  # pointwise
        """Ask for the same box."""
        return (box,)

    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Replace, round, check and cast, in this order.

        Raises
        ------
        ReadError
            A voxel has a value that the dtype cannot hold, and nothing says what becomes of it.
        """
        (block,) = blocks
        data, dtype = block.data, np.dtype(self.dtype)
        limits = _limits(block.spec, dtype)
        missing = self._missing(block, dtype)
        if missing is not None:
            data = np.where(missing, 0, data)
        if data.dtype.kind == "f" and limits is not None:
            data = self._rounded(data, block)
        if self.clip and limits is not None and limits.are_exact_in(data.dtype):
            own = None if data is block.data else data
            data, limits = limits.clipped(data, out=own), None
        if data.dtype == dtype and missing is None:
            return data  # type: ignore[no-any-return]  # a block's data is an ndarray
        result = np.empty(box.shape, dtype) if out is None else out
        with np.errstate(all="ignore"):  # what does not fit is found below
            np.copyto(result, data, casting="unsafe")
        self._bound(result, data, limits, block)
        if missing is not None:
            result[missing] = self.nan
        return result

    def _missing(self, block: Block, dtype: np.dtype[Any]) -> NDArray[np.bool_] | None:
        """Find the NaNs that cannot stay; ``None`` where there are none."""
        data = block.data
        stay = self.nan is None and dtype.kind == "f"
        if data.dtype.kind != "f" or stay or not np.isnan(data.min()):
            return None
        missing: NDArray[np.bool_] = np.isnan(data)
        if self.nan is not None:
            return missing
        raise _refusal(
            "not a number", missing, block, dtype, "say with `nan` what stands in its place"
        )

    def _rounded(self, data: NDArray[Any], block: Block) -> NDArray[Any]:
        if self.round != "error":
            return np.asarray(_ROUND[self.round](data))
        fractions = np.rint(data) != data
        fractions &= ~np.isnan(data)
        if fractions.any():
            raise _refusal("a fraction", fractions, block, np.dtype(self.dtype), "say `round`")
        return data

    def _bound(
        self, result: NDArray[Any], data: NDArray[Any], limits: _Limits | None, block: Block
    ) -> None:
        """Put the nearest value that there is in the place of those out of range, or refuse them."""
        if limits is None:
            if not _narrows(data.dtype, result.dtype) or np.isfinite(result).all():
                return
            highest = np.finfo(result.dtype).max
            over = np.isinf(result) & np.isfinite(data)
            ends = [(over & (data > 0), highest), (over & (data < 0), -highest)]
        elif limits.hold(data):
            return
        else:
            lowest, beyond = limits.beside(data)
            ends = [(data >= beyond, limits.highest), (data < lowest, limits.lowest)]
        for outside, end in ends:
            if not outside.any():
                continue
            if not self.clip:
                hint = None if block.spec.kind == "labels" else "say `clip: true`"
                raise _refusal("a value out of range", outside, block, result.dtype, hint)
            result[outside] = end


class _Limits(NamedTuple):
    """The integers that may be stored; the one behind the highest is a power of two, exact in every float."""

    lowest: int
    highest: int

    def hold(self, data: NDArray[Any]) -> bool:
        """Whether all values are among them; NaN is not."""
        return bool(self.lowest <= data.min().item() and data.max().item() <= self.highest)

    def are_exact_in(self, dtype: np.dtype[Any]) -> bool:
        """Whether voxels of a dtype can be clipped before they are cast."""
        return dtype.kind != "f" or self.highest < 2 ** (np.finfo(dtype).nmant + 1)

    def clipped(self, data: NDArray[Any], out: NDArray[Any] | None) -> NDArray[Any]:
        """Bring values between the limits."""
        lowest, highest = self
        if data.dtype.kind != "f":  # numpy refuses limits that the dtype does not have
            info = np.iinfo(data.dtype)
            lowest, highest = max(lowest, int(info.min)), min(highest, int(info.max))
        return np.asarray(np.clip(data, lowest, highest, out=out))

    def beside(self, data: NDArray[Any]) -> tuple[Any, Any]:
        """Give the lowest, and the first that is too high, such that numpy compares voxels with them exactly."""
        number = np.float64 if data.dtype.kind == "f" else int
        return number(self.lowest), number(self.highest + 1)


def _limits(source: ArraySpec, dtype: np.dtype[Any]) -> _Limits | None:
    """Give what voxels have to lie between; ``None`` where every value of the source fits, or becomes the nearest float."""
    if dtype.kind == "f":
        if source.kind != "labels" or _tells_apart(source.dtype, dtype):
            return None
        highest = 2 ** (np.finfo(dtype).nmant + 1) - 1
        return _Limits(-highest, highest)
    if np.can_cast(source.dtype, dtype, "safe"):
        return None
    if dtype.kind == "b":
        return _Limits(0, 1)
    info = np.iinfo(dtype)
    return _Limits(int(info.min), int(info.max))


def _tells_apart(source: np.dtype[Any], dtype: np.dtype[Any]) -> bool:
    """Whether no two values become one in a float dtype."""
    if source.kind == "f":
        return np.can_cast(source, dtype, "safe")
    return source.kind == "b" or int(np.iinfo(source).max) < 2 ** (np.finfo(dtype).nmant + 1)


def _narrows(source: np.dtype[Any], dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is of floats that some values of the source are too large for."""
    if dtype.kind != "f" or source.kind == "b":
        return False
    info: Any = np.finfo(source) if source.kind == "f" else np.iinfo(source)
    return float(info.max) > float(np.finfo(dtype).max)


def _refusal(
    what: str, wrong: NDArray[np.bool_], block: Block, dtype: np.dtype[Any], hint: str | None
) -> ReadError:
    """Make the error for the first voxel that cannot be stored."""
    assert block.box is not None  # noqa: S101  # it was asked for
    at = tuple(map(int, np.unravel_index(wrong.argmax(), wrong.shape)))
    index = tuple(a + b for a, b in zip(block.box.offset, at, strict=True))
    corner = block.spec.box_to_roi(Box(index, (1,) * len(index))).offset
    place = f"voxel {index}, in the world {format_numbers(corner)} {block.spec.describe_unit()}"
    return ReadError(
        f"{what} that {dtype.name} cannot hold",
        got=f"{block.data[at]} at {place}",
        expected=f"values of {dtype.name}",
        hint=hint,
    )


@array_method
def astype(
    array: Array,
    dtype: DTypeLike,
    *,
    round: Rounding = "error",  # noqa: A002  # the fields' name
    clip: bool = False,
    nan: float | None = None,
) -> Array:
    """Give voxels another dtype, see `AstypeArrayConfig`.

    Parameters
    ----------
    array : Array
        Of any dtype.
    dtype : dtype-like
        Bool, integer or float.
    round : {"error", "nearest-even", "floor", "ceil", "trunc"}
        How fractions become integers.
    clip : bool
        Whether values out of range become the nearest that the dtype has; else they are errors.
    nan : number, optional
        What stands in the place of NaN, which integers do not have.

    Raises
    ------
    ConfigError
        `dtype` is none of numbers, or cannot hold `nan`.
    SpecError
        Labels would be rounded or clipped.

    Examples
    --------
    >>> from dacapo_like import from_numpy
    >>> array = from_numpy(np.array([-1.5, 0.5, 300.0]))
    >>> array.astype("uint8", round="nearest-even", clip=True).read()
    array([  0,   0, 255], dtype=uint8)
    """
    return array.apply(AstypeArrayConfig, dtype=dtype, round=round, clip=clip, nan=nan)
