"""Pooling with compiled loops: which loop takes what, and where its rows lie in memory."""

from __future__ import annotations

import math
from functools import cache, lru_cache, partial, reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import from_dtype, types, void

from dacapo_like.kernels import _pool_loops as loops
from dacapo_like.kernels._blocks import boxes, part
from dacapo_like.kernels._compiling import compiled
from dacapo_like.kernels._pool_cells import WholeCells
from dacapo_like.kernels._pool_numpy import middle
from dacapo_like.kernels._pool_parts import rounded
from dacapo_like.kernels._threads import spread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from dacapo_like.kernels._pool_cells import Cells

    _Layout = tuple[tuple[int, int], ...]  # per axis length and stride, in voxels

_VOXELS_AT_ONCE = 1 << 24  # of the source
_COPIED_AT_ONCE = 1 << 18  # of what is copied: it stays in the processor's cache
_ROWS_AT_ONCE = 1 << 16  # of the source: the tables of their places stay small
_PAYS_FOR_THREADS = 1 << 25  # bytes of the source
_SHARES = 8  # of the rows, for threads to choose from
_LARGEST_CELL = 1 << 20  # voxels; larger ones would take much memory to count or sort
_EXACT = 1 << 52  # up to here quotients of float64 are rounded to the right integer
_FLOAT = np.dtype(np.float64)
_SIZES = {  # in bytes, of what loops are compiled for: more take long to compile and gain little
    "mean": (1, 2, 4, 8),
    "mode": (4, 8),
    "min": (1, 2, 8),
    "max": (1, 2, 8),
    "median": (2, 8),
}
_ROWS = (types.Array(types.intp, 1, "C", readonly=True), types.intp, types.intp)
_TABLE = types.Array(types.intp, 2, "C", readonly=True)


class _Tables(NamedTuple):
    """Where rows of voxels begin, the cells along them, and how much is taken; see `_pool_loops`."""

    rows: NDArray[np.intp]
    row_weights: NDArray[Any]
    row_totals: NDArray[Any]
    taps: NDArray[np.intp]
    weights: NDArray[Any]
    totals: NDArray[Any]


def takes(dtype: np.dtype[Any], method: str, voxels: int) -> bool:
    """Say whether there is a compiled loop for cells of so many voxels."""
    if dtype.kind not in "biuf" or (dtype.kind == "f" and dtype.itemsize not in {4, 8}):
        return False
    return voxels <= _LARGEST_CELL or method not in {"mode", "median"}


def pool(
    source: NDArray[Any],
    axes: Sequence[Cells | WholeCells],
    method: str,
    out: NDArray[Any],
    *,
    exact: bool,
) -> None:
    """Reduce cells, see `dacapo_like.kernels._pool_parts.pool_parts`; medians of whole cells only."""
    if source.dtype.kind == "b":
        source, out = source.view(np.uint8), out.view(np.uint8)
    dtype = _loop_dtype(source.dtype.newbyteorder("="), axes, method, exact=exact)
    reduce_block = _REDUCTIONS[method]
    row = out.shape[-1] * axes[-1].most
    copied = dtype != source.dtype or not _is_plain(source) or _copies(dtype, method)
    small = copied or row > _COPIED_AT_ONCE
    at_once = _COPIED_AT_ONCE if small else min(_VOXELS_AT_ONCE, _ROWS_AT_ONCE * row)

    def run(box: tuple[slice, ...]) -> None:
        reach = [cells.reach(cut) for cells, cut in zip(axes, box, strict=True)]
        parts = [cells.part(cut) for cells, cut in zip(axes, box, strict=True)]
        block, target = part(source, reach), part(out, box)
        if block.dtype != dtype or not _is_plain(block):
            block = block.astype(dtype, order="C")
        direct = target.dtype == dtype and _is_plain(target)
        values = target if direct else np.empty(target.shape, dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            reduce_block(block, parts, values)
            if not direct:
                _store(values, target)

    size = math.prod(cells.most for cells in axes)
    pieces = list(boxes(out.shape, max(1, at_once // size)))
    if small and source.nbytes >= _PAYS_FOR_THREADS:
        spread(run, pieces)
    else:
        for piece in pieces:
            run(piece)


def _loop_dtype(
    dtype: np.dtype[Any], axes: Sequence[Cells | WholeCells], method: str, *, exact: bool
) -> np.dtype[Any]:
    """Choose what voxels are cast to, of the few dtypes that there are compiled loops for."""
    sizes = [size for size in _SIZES[method] if size >= dtype.itemsize]
    if method != "mean" or dtype.kind == "f":
        return np.dtype(f"{dtype.kind}{sizes[0]}")
    weight = math.prod(cells.most_weight for cells in axes)
    for size in sizes[:-1]:  # sums have twice the size
        if weight <= 1 << 8 * size and weight * (1 << 8 * size) < _EXACT:
            return np.dtype(f"{dtype.kind}{size}")
    return np.dtype(f"{dtype.kind}8") if exact else _FLOAT


def _copies(dtype: np.dtype[Any], method: str) -> bool:
    """Say whether a method needs more memory than its result."""
    return method == "median" or (method == "mode" and dtype.kind == "f")


def _store(values: NDArray[Any], out: NDArray[Any]) -> None:
    if values.dtype.kind == "f" and out.dtype.kind != "f":
        rounded(values, out)
    else:
        out[...] = values


def _walk(loop: Callable[..., None], data: NDArray[Any], *rest: Any) -> None:
    """Run a loop over all rows of its last argument; by threads, where that pays."""
    count = len(rest[-1])
    if data.nbytes < _PAYS_FOR_THREADS:
        loop(data, *rest, 0, count)
        return
    length = -(-count // _SHARES)
    spread(
        lambda begin: loop(data, *rest, begin, min(begin + length, count)),
        range(0, count, length),
    )


def _mean(block: NDArray[Any], axes: Sequence[Cells], out: NDArray[Any]) -> None:
    if block.dtype.kind == "f":
        step = _whole_step(axes)
        tables, targets = _tables(block, axes, out)
        _walk(_mean_of_floats(block.dtype), _flat(block), *tables, step, _flat(out), targets)
        return
    flip, block, out = _flip(block.dtype), _bits(block), _bits(out)
    if block.itemsize == 8:
        sums = _uint(8)
        tables, targets = _tables(block, axes, out, sums=sums, totals=sums)
        _walk(_mean_of_wide_integers(), _flat(block), *tables, flip, _flat(out), targets)
        return
    step, whole = _whole_step(axes), int(math.prod(cells.most_weight for cells in axes))
    quotients = _quotients(block.dtype)
    factor = 1 / whole if step and whole & (whole - 1) == 0 else 0  # exact: a power of two
    sums = _uint(2 * block.itemsize)
    tables, targets = _tables(block, axes, out, sums=sums, totals=quotients)
    loop, turn = _mean_of_integers(block.dtype), quotients.type(factor)
    _walk(loop, _flat(block), *tables, step, turn, flip, _flat(out), targets)


def _quotients(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Choose what sums are divided in: bytes add up to 16 bits, which float32 divides exactly."""
    return np.dtype(np.float32 if dtype.itemsize == 1 else np.float64)


def _extreme(
    block: NDArray[Any], axes: Sequence[Cells], out: NDArray[Any], *, largest: bool
) -> None:
    if block.dtype.kind == "f":
        loop, turn = _least_floats(block.dtype), block.dtype.type(-1 if largest else 1)
    else:
        block, out, flip = _bits(block), _bits(out), _flip(block.dtype)
        loop, turn = _least_integers(block.dtype), ~flip if largest else flip
    (rows, *_, taps, _, _), targets = _tables(block, axes, out)
    _walk(loop, _flat(block), rows, taps, axes[-1].step, turn, _flat(out), targets)


def _mode(block: NDArray[Any], axes: Sequence[Cells], out: NDArray[Any]) -> None:
    keys, flip = _sortable(block)
    found = np.empty(out.shape, keys.dtype) if block.dtype.kind == "f" else _bits(out)
    (rows, row_weights, _, taps, weights, _), targets = _tables(keys, axes, found)
    loop, step = _most_frequent(keys.dtype), _whole_step(axes)
    tables = (rows, row_weights, taps, weights)
    _walk(loop, _flat(keys), *tables, step, flip, _flat(found), targets)
    if block.dtype.kind == "f":
        out[...] = _values(found, out.dtype)


def _median(block: NDArray[Any], axes: Sequence[Cells], out: NDArray[Any]) -> None:
    keys, flip = _sortable(block)
    found = np.empty((3, *out.shape), keys.dtype)
    (rows, *_, taps, _, _), targets = _tables(keys, axes, found[0])
    _walk(_order(keys.dtype), _flat(keys), rows, taps, flip, *map(_flat, found), targets)
    low, high, greatest = _values(found, out.dtype)
    middle(low, high, greatest, out, between=len(rows) * len(taps) % 2 == 0)


def _is_plain(array: NDArray[Any]) -> bool:
    """Say whether loops can walk the rows of an array where it is."""
    strides_fit = not any(stride % array.itemsize for stride in array.strides)
    rows_fit = array.shape[-1] == 1 or array.strides[-1] == array.itemsize
    return array.dtype.isnative and array.flags.aligned and strides_fit and rows_fit


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """View the memory of an array, from its first voxel there to its last."""
    if array.flags.c_contiguous:
        return array.reshape(-1)
    corner = part(array, (slice(-1, None) if s < 0 else slice(1) for s in array.strides))
    span = sum(abs(s) * (n - 1) for s, n in zip(array.strides, array.shape, strict=True))
    size = span // array.itemsize + 1
    return np.lib.stride_tricks.as_strided(corner, (size,), (array.itemsize,))


def _begins(layout: _Layout, axes: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    """Give where in `_flat` rows begin, for all combinations of indices along the axes before the last."""
    begin = sum(-step * (n - 1) for n, step in layout if step < 0)
    places = np.full((1, 1), begin, np.intp)
    for indices, (_, step) in zip(axes, layout[:-1], strict=True):
        places = _outer(np.add, places, indices * step)
    return places


def _layout(array: NDArray[Any]) -> _Layout:
    return tuple((n, s // array.itemsize) for n, s in zip(array.shape, array.strides, strict=True))


def _outer(join: np.ufunc, first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Combine the rows of two tables, and in them the entries, each with each."""
    joined: NDArray[Any] = join(first[:, None, :, None], second[None, :, None, :])
    return joined.reshape(len(first) * len(second), -1)


def _tables(
    block: NDArray[Any],
    axes: Sequence[Cells],
    out: NDArray[Any],
    *,
    sums: np.dtype[Any] = _FLOAT,
    totals: np.dtype[Any] = _FLOAT,
) -> tuple[_Tables, NDArray[np.intp]]:
    """Lay out cells in memory, weights as `sums`; also give where the rows of the result begin."""
    if _whole_step(axes):
        steps = tuple(cells.step for cells in axes)
        return _whole_tables(_layout(block), steps, _layout(out), sums, totals)
    lead, last = axes[:-1], axes[-1]
    product = partial(_outer, np.multiply)
    row_weights = reduce(product, (cells.weights for cells in lead), np.ones((1, 1)))
    (row_totals,) = reduce(product, (cells.totals[None] for cells in lead), np.ones((1, 1)))
    tables = _Tables(
        _begins(_layout(block), [cells.voxels for cells in lead]),
        row_weights.astype(sums),
        row_totals.astype(totals),
        last.voxels,
        last.weights.astype(sums),
        last.totals.astype(totals),
    )
    return tables, _targets(_layout(out))


@lru_cache(maxsize=8)  # the blocks of an array are alike
def _whole_tables(
    block: _Layout,
    steps: tuple[int, ...],
    out: _Layout,
    sums: np.dtype[Any],
    totals: np.dtype[Any],
) -> tuple[_Tables, NDArray[np.intp]]:
    *lead, last = (
        WholeCells(step).part(slice(0, n)) for step, (n, _) in zip(steps, out, strict=True)
    )
    rows, targets = _begins(block, [cells.voxels for cells in lead]), _targets(out)
    tables = _Tables(
        rows,
        np.ones(rows.shape, sums),
        np.full(len(targets), len(rows), totals),
        last.voxels,
        last.weights.astype(sums),
        last.totals.astype(totals),
    )
    return tables, targets


def _targets(layout: _Layout) -> NDArray[np.intp]:
    targets: NDArray[np.intp] = _begins(layout, [np.arange(n)[None] for n, _ in layout[:-1]])[0]
    return targets


def _whole_step(axes: Sequence[Cells]) -> int:
    """Give the step along the last axis if cells are whole along all axes, else 0."""
    return axes[-1].step if all(cells.step for cells in axes) else 0


def _uint(size: int) -> np.dtype[Any]:
    return np.dtype(f"u{size}")


def _bits(array: NDArray[Any]) -> NDArray[Any]:
    """View integers as unsigned ones."""
    return array.view(_uint(array.itemsize))


def _flip(dtype: np.dtype[Any]) -> Any:
    """Give what brings the bits of integers into the order of unsigned ones."""
    sign = 1 << (8 * dtype.itemsize - 1) if dtype.kind == "i" else 0
    return _uint(dtype.itemsize).type(sign)


def _sortable(block: NDArray[Any]) -> tuple[NDArray[Any], Any]:
    """Give unsigned integers, and what they have to be flipped with to have the order of the voxels.

    NaNs become one value that is greater than all others, negative zeros become zeros.
    """
    if block.dtype.kind != "f":
        return _bits(block), _flip(block.dtype)
    values = block + block.dtype.type(0)
    values[np.isnan(values)] = np.nan
    bits = _bits(values)
    sign = bits.dtype.type(1 << (8 * bits.itemsize - 1))
    return np.where(bits & sign, ~bits, bits | sign), bits.dtype.type(0)


def _values(keys: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Turn unsigned integers into the voxels that they stand for."""
    if dtype.kind != "f":
        return keys.view(dtype)
    sign = keys.dtype.type(1 << (8 * keys.itemsize - 1))
    return np.where(keys & sign, keys ^ sign, ~keys).view(dtype)


_REDUCTIONS: dict[str, Callable[..., None]] = {
    "mean": _mean,
    "mode": _mode,
    "min": partial(_extreme, largest=False),
    "max": partial(_extreme, largest=True),
    "median": _median,
}


def _array(dtype: np.dtype[Any], ndim: int = 1, *, readonly: bool = True) -> Any:
    return types.Array(from_dtype(dtype), ndim, "C", readonly=readonly)


@cache
def _mean_of_integers(dtype: np.dtype[Any]) -> Callable[..., Any]:
    sums, quotients = _uint(2 * dtype.itemsize), _quotients(dtype)
    weights, totals = _array(sums, 2), _array(quotients)
    scalars = (types.intp, from_dtype(quotients), from_dtype(dtype))
    rows = (_array(dtype), _TABLE, weights, totals)
    out = _array(dtype, readonly=False)
    signature = void(*rows, _TABLE, weights, totals, *scalars, out, *_ROWS)
    return compiled(loops.mean_of_integers, signature)


@cache
def _mean_of_wide_integers() -> Callable[..., Any]:
    dtype = _uint(8)
    rows = (_array(dtype), _TABLE, _array(dtype, 2), _array(dtype))
    columns = (_TABLE, _array(dtype, 2), _array(dtype))
    out = _array(dtype, readonly=False)
    signature = void(*rows, *columns, from_dtype(dtype), out, *_ROWS)
    return compiled(loops.mean_of_wide_integers, signature)


@cache
def _mean_of_floats(dtype: np.dtype[Any]) -> Callable[..., Any]:
    weights, totals = _array(_FLOAT, 2), _array(_FLOAT)
    rows = (_array(dtype), _TABLE, weights, totals)
    out = _array(dtype, readonly=False)
    signature = void(*rows, _TABLE, weights, totals, types.intp, out, *_ROWS)
    return compiled(loops.mean_of_floats, signature)


def _least(loop: Callable[..., Any], dtype: np.dtype[Any]) -> Callable[..., Any]:
    out, scalars = _array(dtype, readonly=False), (types.intp, from_dtype(dtype))
    return compiled(loop, void(_array(dtype), _TABLE, _TABLE, *scalars, out, *_ROWS))


@cache
def _least_integers(dtype: np.dtype[Any]) -> Callable[..., Any]:
    return _least(loops.least_integers, dtype)


@cache
def _least_floats(dtype: np.dtype[Any]) -> Callable[..., Any]:
    return _least(loops.least_floats, dtype)


@cache
def _most_frequent(dtype: np.dtype[Any]) -> Callable[..., Any]:
    weights, out = _array(_FLOAT, 2), _array(dtype, readonly=False)
    scalars = (types.intp, from_dtype(dtype))
    signature = void(_array(dtype), _TABLE, weights, _TABLE, weights, *scalars, out, *_ROWS)
    return compiled(loops.mode, signature)


@cache
def _order(dtype: np.dtype[Any]) -> Callable[..., Any]:
    out, flip = _array(dtype, readonly=False), from_dtype(dtype)
    signature = void(_array(dtype), _TABLE, _TABLE, flip, out, out, out, *_ROWS)
    return compiled(loops.order, signature)
