"""The voxels of a stored array, through TensorStore; what is done where chunks are not there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like import settings, tensorstores
from dacapo_like.errors import ReadError
from dacapo_like.geometry import Box
from dacapo_like.sources._blosc import BloscGuard
from dacapo_like.sources._chunk_files import Seen
from dacapo_like.sources._missing import Absences, Missing


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
    remote : bool
        They come over a network: a read is not waited for longer than the setting ``remote_seconds`` says.
    """

    def __init__(
        self,
        open_array: Callable[..., Any],
        missing: Missing,
        where: str,
        guard: BloscGuard | None = None,
        *,
        remote: bool = False,
    ) -> None:
        self._open_array = open_array
        self._absences = Absences(missing)
        self._where = where
        self._guard = guard
        self._remote = remote
        self._is_strict = (
            False  # TensorStore says which chunks are not there, though they are to be filled
        )
        self._seen = None if guard is None else Seen(guard.chunk_shape)
        self._tensorstore = tensorstores.Opened(
            lambda: self._open_array(fill=not (self._absences.matter or self._is_strict))
        )

    def start(self, box: Box) -> Callable[[], NDArray[Any]]:
        """Begin to read a box; the function that is returned waits for it."""
        self._look_at_chunks(box)
        array = self._in_tensorstore()
        if array is None:
            return lambda: self._read_otherwise(box)
        begun = tensorstores.Begun(array[box.slices].read())
        deadline = self._deadline()

        def wait() -> NDArray[Any]:
            if not tensorstores.usable():  # forked since: nobody here will finish that read
                return self._read_otherwise(box)
            try:
                return np.asarray(begun.result(deadline))
            except TimeoutError as error:
                raise self._late(box) from tensorstores.cause(error)
            except tensorstores.ERRORS as error:
                message = tensorstores.describe(error)
                if _is_missing(message):
                    return self._absent(box, message)
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

    def _absent(self, box: Box, missing: str) -> NDArray[Any]:
        """Read a box of which a chunk is not there."""
        self._absences.found(missing, self._place(box))
        self._tensorstore.forget()
        return self._waited(self._tensorstore, box)

    def _waited(self, opened: tensorstores.Opened, box: Box) -> NDArray[Any]:
        """Read a box now, of which nothing is missing to whom it is asked of."""
        try:
            begun = tensorstores.Begun(opened()[box.slices].read())
            return np.asarray(begun.result(self._deadline()))
        except TimeoutError as error:
            raise self._late(box) from tensorstores.cause(error)
        except tensorstores.ERRORS as error:
            raise self._error(box, tensorstores.describe(error)) from tensorstores.cause(error)

    def _deadline(self) -> float | None:
        """Give the time until which a read is waited for that begins now."""
        return time.monotonic() + settings.current().remote_seconds if self._remote else None

    def _late(self, box: Box) -> ReadError:
        return ReadError(
            "the server did not give the voxels in time",
            got=f"nothing after {settings.current().remote_seconds} s",
            where=self._place(box),
            hint="read less at once, or allow more with the setting `remote_seconds`",
            key=("file_name",),
        )

    def _error(self, box: Box, problem: str) -> ReadError:
        return ReadError("voxels cannot be read", got=problem, where=self._place(box))

    def _place(self, box: Box) -> str:
        return f"{self._where}, voxels {box.offset} to {box.end}"


def _is_missing(problem: str) -> bool:
    """Whether what TensorStore says is that a chunk is not there."""
    message, _, _ = problem.partition(" [source locations=")  # as older TensorStores end
    return message.endswith("is missing")
