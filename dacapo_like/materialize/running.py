"""Runs that write a pyramid, and take up what an earlier one has left."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import attrs

from dacapo_like import settings
from dacapo_like.core import Array
from dacapo_like.errors import ConfigError, DacapoLikeError, SourceError
from dacapo_like.materialize.blocks import Blocks
from dacapo_like.materialize.identity import described_differences, identity, is_described, key_of
from dacapo_like.materialize.journal import Entry, Journal
from dacapo_like.materialize.local import Done, Threads
from dacapo_like.materialize.planning import Means, Plan, cache_bytes, pyramid_of
from dacapo_like.materialize.sweeps import Sweep
from dacapo_like.materialize.workspace import Workspace, workspace_of
from dacapo_like.settings import format_bytes
from dacapo_like.writers.ome_zarr import OmeZarrWriter

_LOG = logging.getLogger("dacapo_like.materialize")

Progress = Callable[[int, int], None]


class Doing(Protocol):
    """Does blocks, here or elsewhere."""

    def run(
        self, sweep: int, missing: Iterator[int], done: Done, finished: Callable[[], None]
    ) -> None:
        """Do blocks of a sweep; `done` takes those that are on the disk."""


@attrs.frozen(kw_only=True)
class Wishes:
    """What is asked of a run besides its result.

    Attributes
    ----------
    means : Means
        What it works with.
    restart : bool
        Throw away what an earlier run has left.
    check : bool
        Read again what an earlier run has done, before going on.
    break_lock : bool
        Take the place of somebody of whom nothing is known.
    progress : callable, optional
        Called with (blocks done, blocks in all).
    scheduler : str or distributed.Client, optional
        Of a cluster.
    """

    means: Means
    restart: bool = False
    check: bool = False
    break_lock: bool = False
    progress: Progress | None = None
    scheduler: Any = None

    @property
    def is_local(self) -> bool:
        """Whether the threads of this process do the work."""
        return self.scheduler is None and not self.means.workers


def write_pyramid(
    array: Array, writer_of: Callable[..., OmeZarrWriter], target: Path, wishes: Wishes
) -> None:
    """Write an array and its coarser levels.

    Parameters
    ----------
    array : Array
        To be written.
    writer_of : callable
        Makes the writer, given ``partial`` and ``make``.
    target : Path
        Absolute.
    wishes : Wishes
        How.
    """
    # what cannot be is refused before anything is made
    writer = writer_of(partial=workspace_of(target) / "data", make=False)
    described = is_described(array)
    if not described and not wishes.is_local:
        raise ConfigError(
            "an array in memory is not known to other processes",
            got="an array that no document describes",
            expected="one that a document describes",
            where=array.describe(),
            hint="leave out `workers` and `scheduler`, or save the array first, and open the file",
        )
    with Workspace(target, break_lock=wishes.break_lock) as space:
        run = identity(array, writer.described()) if described else None
        sweeps = _sweeps(array, writer, space, run, wishes)
        totals = [sweep.total for sweep in sweeps]
        journal = Journal(space.journal, "-" if run is None else key_of(run), totals)
        with _kept(space, journal, resumable=run is not None):
            try:
                _Run(array, writer, sweeps, journal, space, wishes).do()
            finally:
                journal.close()
            writer.leave_levels()
            writer.commit()
            space.drop()
    writer.enlist()


def _sweeps(
    array: Array,
    writer: OmeZarrWriter,
    space: Workspace,
    run: dict[str, Any] | None,
    wishes: Wishes,
) -> list[Sweep]:
    """Give the blocks of the run that is gone on with, or choose them for a new one."""
    pyramid, most = pyramid_of(array, writer), wishes.means.per_block(array)
    before = None if wishes.restart or run is None else space.run()
    if before is None:
        sweeps = pyramid.sweeps(wishes.means.at_once, most)
        space.clear()
        writer.make()
        if run is not None:
            space.begin(
                {"key": key_of(run), "run": run, "sweeps": [sweep.dumped() for sweep in sweeps]}
            )
        return sweeps
    assert run is not None  # noqa: S101  # else there is none before
    try:
        sweeps, key = [Sweep.loaded(each) for each in before["sweeps"]], before["key"]
    except (KeyError, TypeError) as error:
        raise SourceError(
            "what an earlier run has left cannot be read",
            got=error,
            where=str(space.folder),
            hint="restart=True (--restart) throws it away",
        ) from error
    if key != key_of(run):
        raise SourceError(
            "an earlier run, which was not finished, wrote something else there",
            got=described_differences(before.get("run", {}), run) or "another format",
            where=str(space.folder),
            hint="restart=True (--restart) throws away what it has done",
        )
    needed = max(map(pyramid.memory, sweeps))
    if most is not None and needed > most:
        raise ConfigError(
            "the run was begun with larger blocks",
            got=f"{format_bytes(most)} for each block under way",
            expected=f"at least {format_bytes(needed)}",
            hint="allow for more memory, or restart=True (--restart) begins anew",
            key=("memory",),
        )
    return sweeps


@contextmanager
def _kept(space: Workspace, journal: Journal, *, resumable: bool) -> Iterator[None]:
    """After an error or an interrupt, keep what is done, and say so; what nobody can go on with is removed."""
    try:
        yield
    except BaseException as error:
        if not resumable or not any(journal.counts):
            space.drop()
            raise
        space.keep()
        kept = (
            f"{sum(journal.counts)} of {sum(journal.totals)} blocks are done and kept in {space.folder}: "
            "the same call goes on with the rest, restart=True (--restart) begins anew"
        )
        if isinstance(error, DacapoLikeError):
            error.hint = f"{error.hint}. {kept}" if error.hint else kept
        else:
            error.add_note(kept)
        raise


class _Run:
    """Does what is missing."""

    def __init__(
        self,
        array: Array,
        writer: OmeZarrWriter,
        sweeps: list[Sweep],
        journal: Journal,
        space: Workspace,
        wishes: Wishes,
    ) -> None:
        self._sweeps = sweeps
        self._journal = journal
        self._space = space
        self._wishes = wishes
        self._cache = cache_bytes(array)
        self._stop = threading.Event()
        self._blocks = Blocks(array, writer, sweeps, self._stop.is_set)
        self._finished = 0

    def do(self) -> None:
        """Do all sweeps."""
        if self._wishes.check:
            self._check()
        self._finished = sum(self._journal.counts)
        self._tell()
        with settings.using(cache_bytes=self._cache), self._doing() as doing:
            for number, sweep in enumerate(self._sweeps):
                if self._journal.counts[number] < sweep.total:
                    doing.run(number, self._journal.missing(number), self._done, self._note)

    @contextmanager
    def _doing(self) -> Iterator[Doing]:
        if self._wishes.is_local:
            yield Threads(self._blocks, self._wishes.means.threads, self._stop)
            return
        from dacapo_like.materialize.cluster import Cluster  # heavy

        wishes = self._wishes
        with Cluster(
            self._space.folder, self._journal.key, wishes.scheduler, wishes.means
        ) as cluster:
            _LOG.info("dashboard: %s", cluster.dashboard)
            yield cluster

    def _done(self, entries: list[Entry]) -> None:
        self._journal.add(entries)
        self._space.beat()

    def _note(self) -> None:
        self._finished += 1
        self._tell()

    def _tell(self) -> None:
        if self._wishes.progress is not None:
            self._wishes.progress(self._finished, sum(self._journal.totals))

    def _check(self) -> None:
        from dacapo_like.materialize.checking import damaged

        self._journal.drop(
            damaged(self._blocks, list(self._journal.entries()), self._wishes.means.threads)
        )


def plan_pyramid(array: Array, writer: OmeZarrWriter, means: Means) -> Plan:
    """Say what a run would do."""
    pyramid = pyramid_of(array, writer)
    return Plan.of(array, pyramid, pyramid.sweeps(means.at_once, means.per_block(array)), means)
