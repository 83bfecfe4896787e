"""When a compiled loop is worth what it takes to load it."""

from __future__ import annotations

from collections.abc import Hashable

WORTH_LOADING = 10e6
"""Nanoseconds; what was compiled before loads in about as many."""

_lost: dict[Hashable, float] = {}


def pays(loop: Hashable, saves: float) -> bool:
    """Say whether to use a compiled loop, where plain numpy gives the same bits.

    Who reads a few voxels does not wait for the compiler. A loop is loaded when all calls together have lost too much without it.

    Parameters
    ----------
    loop : hashable
        Names it, and the dtypes that it is for.
    saves : float
        About how many nanoseconds it saves at this call.
    """
    lost = _lost.get(loop, 0.0)
    if lost < WORTH_LOADING:
        lost += saves
        _lost[loop] = lost  # threads may forget some: no matter
    return lost >= WORTH_LOADING
