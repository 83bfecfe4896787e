"""Open what documents describe as far as it opens: sources side by side in threads, and all that is wrong is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeAlias

import attrs

from dacapo_like.core import Array, ArrayConfig, SourceConfig, open_node
from dacapo_like.errors import DacapoLikeError, Remark

Progress: TypeAlias = Callable[[str, int, int], None]
"""Is told what is counted, how many are done, and of how many."""

_THREADS = 8


@attrs.define
class _Node:
    """What became of a config."""

    array: Array | None = None
    error: DacapoLikeError | None = None
    remarks: tuple[Remark, ...] = ()
    tried: bool = False
    faulty: bool = False  # it is open, but by what it or one below it says of itself not valid


@attrs.define
class Opening:
    """Opens every config of a tree whose inputs open, and keeps what each of the others said. Equal configs are opened once."""

    _nodes: dict[ArrayConfig, _Node] = attrs.field(factory=dict)
    _known: dict[int, tuple[ArrayConfig, _Node]] = attrs.field(factory=dict)

    def __len__(self) -> int:
        return len(self._nodes)

    def open(self, config: ArrayConfig) -> Array | None:
        """Open a config, or say nothing where something below it is wrong already."""
        node = self._node(config)
        if not node.tried:
            node.tried = True
            inputs = [self.open(child) for _, child in config.children()]
            opened = [array for array in inputs if array is not None]
            if len(opened) == len(inputs):
                node.faulty = any(self._node(array.config).faulty for array in opened)
                _keep(node, config, _open_or_error(config, opened))
        return node.array

    def array(self, config: ArrayConfig) -> Array | None:
        """Give a config that is open already."""
        return self._node(config).array

    def error(self, config: ArrayConfig) -> DacapoLikeError | None:
        """Give why a config did not open, unless that was told of one below it."""
        return self._node(config).error

    def remarks(self, config: ArrayConfig) -> tuple[Remark, ...]:
        """Give what a config that is open has to say of itself."""
        return self._node(config).remarks

    def is_faulty(self, config: ArrayConfig) -> bool:
        """Whether a config that is open, or one below it, says of itself that it is not valid."""
        return self._node(config).faulty

    def open_sources(
        self, configs: Iterable[ArrayConfig], progress: Progress | None = None
    ) -> None:
        """Open the sources among configs, several at a time.

        Parameters
        ----------
        configs : iterable of ArrayConfig
            Operators among them, and what is open already, are left alone.
        progress : callable, optional
            Is told of every source that was opened, or could not be.
        """
        waiting: dict[int, tuple[ArrayConfig, _Node]] = {}
        for config in configs:
            if isinstance(config, SourceConfig) and not (node := self._node(config)).tried:
                waiting.setdefault(id(node), (config, node))
        if len(waiting) < 2:
            return
        pool = ThreadPoolExecutor(min(_THREADS, len(waiting)))
        try:
            futures = [
                pool.submit(copy_context().run, _open_or_error, config, [])
                for config, _ in waiting.values()
            ]
            opened = zip(waiting.values(), futures, strict=True)
            for done, ((config, node), future) in enumerate(opened, start=1):
                node.tried = True
                _keep(node, config, future.result())
                if progress is not None:
                    progress("headers", done, len(waiting))
        finally:
            pool.shutdown(cancel_futures=True)

    def _node(self, config: ArrayConfig) -> _Node:
        """Give the node of a config, found by identity where it was met before: to compare trees takes its time."""
        known = self._known.get(id(config))
        if known is None:
            known = config, self._nodes.setdefault(config, _Node())
            self._known[id(config)] = known
        return known[1]


def _keep(node: _Node, config: ArrayConfig, opened: Array | DacapoLikeError) -> None:
    if isinstance(opened, DacapoLikeError):
        if not node.faulty:  # else it may be for the fault that was told already
            node.error = opened
        return
    node.array = opened
    node.remarks = tuple(config.remarks(*(item.spec for item in opened.inputs)))
    node.faulty |= any(remark.severity == "error" for remark in node.remarks)


def _open_or_error(config: ArrayConfig, inputs: list[Array]) -> Array | DacapoLikeError:
    try:
        return open_node(config, inputs)
    except DacapoLikeError as error:
        return error


def throttled(progress: Progress, *, after: float, every: float = 0.05) -> Progress:
    """Give what tells of progress only after some seconds, and then not more often than people see.

    Parameters
    ----------
    progress : callable
        To be told.
    after, every : float
        Seconds before the first time, and between times.
    """
    next_time = time.monotonic() + after

    def tell(what: str, done: int, total: int) -> None:
        nonlocal next_time
        now = time.monotonic()
        if now >= next_time:
            next_time = now + every
            progress(what, done, total)

    return tell
