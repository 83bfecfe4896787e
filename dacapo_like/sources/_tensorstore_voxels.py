"""The voxels of a stored array, through TensorStore; what is done where chunks are not there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dacapo_like import tensorstores
from dacapo_like.errors import DataWarning, ReadError
from dacapo_like.geometry import Box
from dacapo_like.sources._blosc import BloscGuard
from dacapo_like.sources._chunk_files import Seen

Missing: TypeAlias = Literal["fill", "warn", "error"]


class TensorStoreVoxels:
    """Reads boxes of a stored array, in stored order. Nothing is opened before the first of them.

    Parameters
    ----------
    open_array : callable
        Opens TensorStore's array; `fill`, whether chunks that are not there read as the fill value, is given by name.
    missing : {"fill", "warn", "error"}
        What is done about chunks that are not there.
    where : str
        For errors.
    guard : BloscGuard, optional
        Looks at chunks before they are read.
    """

    def __init__(
        self,
        open_array: Callable[..., Any],
        missing: Missing,
        where: str,
        guard: BloscGuard | None = None,
    ) -> None:
        self._open_array = open_array
        self._missing: Missing = missing
        self._where = where
        self._guard = guard
        self._seen = None if guard is None else Seen(guard.chunk_shape)
        self._tensorstore = tensorstores.Opened(
            lambda: self._open_array(fill=self._missing == "fill")
        )

    def start(self, box: Box) -> Callable[[], NDArray[Any]]:
        """Begin to read a box; the function that is returned waits for it."""
        self._look_at_chunks(box)
        array = self._in_tensorstore()
        if array is None:
            return lambda: self._read_otherwise(box)
        begun = tensorstores.Begun(array[box.slices].read())

        def wait() -> NDArray[Any]:
            if not tensorstores.usable():  # forked since: nobody here will finish that read
                return self._read_otherwise(box)
            try:
                return np.asarray(begun.result())
            except tensorstores.ERRORS as error:
                message = tensorstores.describe(error)
                if self._missing != "error" and _is_missing(message):
                    return self._fill(box, message)
                raise self._error(box, message) from tensorstores.cause(error)

        return wait

    def _look_at_chunks(self, box: Box) -> None:
        """Refuse chunks that nobody is to read; each is looked at once."""
        unseen = self._seen and self._seen.others(box)
        if not unseen:
            return
        try:
            self._check_chunks(unseen)
        except ReadError as error:
            error.where = self._place(box)
            raise
        assert self._seen is not None  # noqa: S101  # there are such chunks
        self._seen.add(unseen)

    def _check_chunks(self, chunks: Sequence[tuple[int, ...]]) -> None:
        if self._guard is not None:
            self._guard.check(chunks)

    def _in_tensorstore(self) -> Any:
        """Give TensorStore's array; ``None`` where it cannot be used."""
        if not tensorstores.usable():
            return None
        try:
            return self._tensorstore()
        except tensorstores.ERRORS as error:
            raise self._not_opened(tensorstores.describe(error)) from tensorstores.cause(error)

    def _not_opened(self, problem: str) -> ReadError:
        return ReadError("the array cannot be opened", got=problem, where=self._where)

    def _read_otherwise(self, box: Box) -> NDArray[Any]:
        raise ReadError(
            "nothing but TensorStore reads this, and it does not work in a process that was forked from one that uses it",
            where=self._place(box),
            hint="start workers with the method `spawn` or `forkserver`",
        )

    def _fill(self, box: Box, missing: str) -> NDArray[Any]:
        self._warn(box, missing)
        self._tensorstore.forget()
        try:
            return np.asarray(self._tensorstore()[box.slices].read().result())
        except tensorstores.ERRORS as error:
            raise self._error(box, tensorstores.describe(error)) from tensorstores.cause(error)

    def _warn(self, box: Box, message: str) -> None:
        """Warn once, and from now on fill."""
        if self._missing == "fill":
            return
        self._missing = "fill"
        warnings.warn(
            f"{self._place(box)}: {message}; it is read as the fill value, "
            "and so is, without a further warning, all else of this array that is missing",
            DataWarning,
            stacklevel=3,
        )

    def _error(self, box: Box, problem: str) -> ReadError:
        missing = _is_missing(problem)
        return ReadError(
            "a chunk is missing" if missing else "voxels cannot be read",
            got=problem,
            where=self._place(box),
            hint="`missing: fill` reads the fill value there" if missing else None,
        )

    def _place(self, box: Box) -> str:
        return f"{self._where}, voxels {box.offset} to {box.end}"


def _is_missing(problem: str) -> bool:
    message, _, _ = problem.partition(" [source locations=")  # as older TensorStores end
    return message.endswith("is missing")
