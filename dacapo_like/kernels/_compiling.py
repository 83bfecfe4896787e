"""Compiling loops with numba, kept on disk where there is a place for them.

Importing this module imports numba, which takes its time: kernels do so on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable


def compiled(function: Callable[..., Any], signature: Any) -> Callable[..., Any]:
    """Compile a function for the types of one signature; it releases the interpreter's lock.

    What is kept on disk counts as long as the function's own file does not change. Who edits a loop that is called from another
    file has to touch that one, too.

    Parameters
    ----------
    function : callable
        At the top of a module, so that it is found on disk again.
    signature : numba signature
        Where it declares arrays as read-only, writable ones are taken, too.

    Returns
    -------
    callable
        Loaded from numba's cache, or compiled now and put there; not kept where no directory can be written.
    """
    loop: Callable[..., Any]
    try:
        loop = njit(signature, cache=True, nogil=True)(function)
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "cannot cache function" not in str(error):
            raise
        loop = njit(signature, nogil=True)(function)
    return loop
