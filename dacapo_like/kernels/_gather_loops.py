"""The loop of `gathering`, compiled on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from numba import int64, types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from dacapo_like.kernels._compiling import compiled

_ADDRESS = types.voidptr
_memcpy = types.ExternalFunction("memcpy", _ADDRESS(_ADDRESS, _ADDRESS, types.uintp))


def _take_for_address(_typing: Any, address: Any) -> Any:  # noqa: ARG001  # its type is always the same
    """Say how a number becomes an address."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], cgutils.voidptr_t)

    return _ADDRESS(types.int64), generate


_pointer: Any = intrinsic(_take_for_address)


@cache
def gather() -> Callable[..., None]:
    """Give the loop; it takes the addresses of chunks and of what is filled, and lengths along four axes, of the last one in bytes.

    These are rows: where the box begins, its shape, that of chunks, that of the array. A chunk whose address is 0 is left out.
    """
    addresses = types.Array(int64, 1, "C", readonly=True)
    lengths = types.Array(int64, 2, "C", readonly=True)
    return compiled(_gather, types.void(addresses, int64, lengths))


@register_jitable
def _span(lengths: Any, axis: int, index: int) -> Any:
    """Give what the box shows of a chunk along an axis: where that begins in the chunk and in the box, its length; and the chunk's own."""
    start, length, size, extent = lengths[:, axis]
    first = (start // size + index) * size
    low, high = max(start, first), min(start + length, first + size)
    return low - first, low - start, high - low, min(size, extent - first)


@register_jitable
def _count(lengths: Any, axis: int) -> int:
    start, length, size, _ = lengths[:, axis]
    return int((start + length - 1) // size - start // size + 1)


def _gather(addresses: Any, target: int, lengths: Any) -> None:
    number, (_, depth, height, width) = 0, lengths[1]
    for i in range(_count(lengths, 0)):
        along_w = _span(lengths, 0, i)
        for j in range(_count(lengths, 1)):
            along_z = _span(lengths, 1, j)
            for k in range(_count(lengths, 2)):
                along_y = _span(lengths, 2, k)
                for n in range(_count(lengths, 3)):
                    along_x = _span(lengths, 3, n)
                    if addresses[number] != 0:
                        for w in range(along_w[2]):
                            for z in range(along_z[2]):
                                source = (along_w[0] + w) * along_z[3] + along_z[0] + z
                                place = (along_w[1] + w) * depth + along_z[1] + z
                                read = (source * along_y[3] + along_y[0]) * along_x[3] + along_x[0]
                                write = (place * height + along_y[1]) * width + along_x[1]
                                read += addresses[number]
                                write += target
                                for _ in range(along_y[2]):
                                    _memcpy(_pointer(write), _pointer(read), along_x[2])
                                    read += along_x[3]
                                    write += width
                    number += 1
