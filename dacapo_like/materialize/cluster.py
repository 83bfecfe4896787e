"""Blocks on the workers of a dask cluster.

A task says nothing but where the run stands, its key, and the number of a block. A worker reads the rest from there, once: it opens the
tree from its document, and the writer. So tasks are small, no secret travels with them, and what the scheduler knows at any time
are the tasks under way.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dacapo_like import settings
from dacapo_like.bridges import importing
from dacapo_like.config.loading import load_config
from dacapo_like.core import ArrayConfig, open_tree
from dacapo_like.errors import DacapoLikeError, SourceError
from dacapo_like.materialize.blocks import Blocks
from dacapo_like.materialize.journal import Entry
from dacapo_like.materialize.local import Done
from dacapo_like.materialize.planning import Means, cache_bytes
from dacapo_like.materialize.sweeps import Sweep
from dacapo_like.writers.ome_zarr import OmeZarrWriter

_PER_THREAD = 2  # tasks of a thread of the cluster: one under way, one that waits
_PATIENCE = 30  # seconds for a scheduler to answer
_COUNT_AGAIN = 5.0  # seconds after which the workers are counted anew


def do_block(folder: str, key: str, sweep: int, index: int) -> tuple[int, int]:
    """Write a block of a run, and bring it to the disk: what a worker does.

    Parameters
    ----------
    folder : str
        The run's workspace, on a disk that all workers share.
    key : str
        Of the run.
    sweep, index : int
        Which block.

    Returns
    -------
    tuple of int
        How many files it has, and their bytes.

    Raises
    ------
    SourceError
        There is no such run, or voxels cannot be written.
    ReadError
        A source cannot give its voxels.
    """
    blocks = _opened(folder, key, os.getpid())
    blocks.do(sweep, index)
    (entry,) = blocks.sync(sweep, [index])
    return entry.files, entry.nbytes


@lru_cache(maxsize=2)
def _opened(folder: str, key: str, _process: int) -> Blocks:
    """Open what a run reads and writes."""
    place = Path(folder)
    try:
        kept = json.loads((place / "run.json").read_bytes())
    except FileNotFoundError as error:
        raise SourceError(
            "a worker does not find the run",
            got=f"no {place / 'run.json'}",
            expected="a disk that all workers share, or a run that is not over",
            where=str(place),
        ) from error
    if kept["key"] != key:
        raise SourceError("the run is over, and another one has its place", where=str(place))
    config = load_config(kept["run"]["document"])
    assert isinstance(config, ArrayConfig)  # noqa: S101  # a run is of one array
    array = open_tree(config)
    settings.configure(cache_bytes=cache_bytes(array))
    writer = OmeZarrWriter(
        place / "target",  # it is not looked at
        array.spec,
        partial=place / "data",
        make=False,
        **kept["run"]["options"],
    )

    def is_over() -> bool:
        return not (place / "run.json").exists()

    return Blocks(array, writer, [Sweep.loaded(each) for each in kept["sweeps"]], is_over)


class Cluster:
    """Does blocks on a cluster: a given one, or one that is started on this machine and ends with this.

    Parameters
    ----------
    folder : Path
        The run's workspace.
    key : str
        Of the run.
    scheduler : str or distributed.Client or None
        Address of a scheduler, or a client of it; ``None`` starts workers here.
    means : Means
        How many of these there are to be.

    Raises
    ------
    MissingExtraError
        dask.distributed is not installed.
    SourceError
        No scheduler answers.
    """

    def __init__(self, folder: Path, key: str, scheduler: Any, means: Means) -> None:
        with importing("dask.distributed", extra="distributed"):
            import distributed  # heavy

        self._distributed = distributed
        self._folder, self._key = folder, key
        self._owned: list[Any] = []
        self._token = uuid.uuid4().hex[:8]  # an earlier run may have left tasks with the scheduler
        self._threads, self._counted = 1, -math.inf
        self._failures = (
            distributed.scheduler.KilledWorker,
            distributed.client.FutureCancelledError,
            distributed.comm.CommClosedError,
            CancelledError,
            OSError,
        )
        if scheduler is None:
            cluster = distributed.LocalCluster(
                n_workers=means.workers,
                threads_per_worker=means.threads,
                memory_limit=means.memory or 0,
                processes=True,
                dashboard_address=":0",
            )
            self._owned.append(cluster)
            scheduler = cluster
        if isinstance(scheduler, distributed.Client):
            self.client = scheduler
            return
        try:
            self.client = distributed.Client(scheduler, timeout=_PATIENCE, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            self._end()
            raise SourceError(
                "no scheduler answers",
                got=error,
                where=str(scheduler),
                hint="such as tcp://host:8786",
            ) from error
        self._owned.insert(0, self.client)

    @property
    def dashboard(self) -> str | None:
        """Where people watch it."""
        link: str | None = self.client.dashboard_link
        return link

    def run(
        self, sweep: int, missing: Iterator[int], done: Done, finished: Callable[[], None]
    ) -> None:
        """Do blocks of a sweep; few are known to the scheduler at a time."""
        futures = self._distributed.as_completed(loop=self.client.loop)
        waiting: dict[Any, int] = {}
        try:
            while True:
                for index in itertools.islice(missing, max(self._room() - len(waiting), 0)):
                    future = self._submitted(sweep, index)
                    waiting[future] = index
                    futures.add(future)
                if not waiting:
                    return
                entries = [
                    Entry(sweep, waiting.pop(future), *self._result(future))
                    for future in futures.next_batch()
                ]
                done(entries)
                for _ in entries:
                    finished()
        finally:
            if waiting and self.client.status == "running":
                self.client.cancel(list(waiting), force=True)

    def _result(self, future: Any) -> tuple[int, int]:
        """Give what a task gave; where the cluster failed it, and not the task, say so."""
        try:
            found: tuple[int, int] = future.result()
        except DacapoLikeError:
            raise
        except self._failures as error:
            raise SourceError(
                "the cluster lost a block",
                got=f"{type(error).__name__}: {error}",
                where=str(self.client.scheduler and self.client.scheduler.addr),
                hint="workers may have been killed for want of memory (--memory bounds it), or the scheduler has ended",
            ) from error
        return found

    def _submitted(self, sweep: int, index: int) -> Any:
        return self.client.submit(
            do_block,
            str(self._folder),
            self._key,
            sweep,
            index,
            key=f"dacapo_like-{self._token}-{sweep}-{index}",
            pure=False,
        )

    def _room(self) -> int:
        """Give how many tasks the cluster may know; workers come and go."""
        now = time.monotonic()
        if now - self._counted > _COUNT_AGAIN:
            self._threads = sum(self.client.nthreads().values())
            self._counted = now
        return _PER_THREAD * max(self._threads, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        for owned in self._owned:
            owned.close()
