"""Where a target grows: a hidden folder beside it, which one run has at a time, and which outlives a run that was stopped.

Its name follows from the target's, so that the next run finds what there is. It holds ``data``, which becomes the target; ``run.json``, what
the run is; ``journal``, which of its blocks are done; and ``owner``, who writes it.
"""

from __future__ import annotations

import errno
import fcntl
import getpass
import json
import os
import shutil
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from dacapo_like.errors import SourceError
from dacapo_like.replacing import replace_file, sync

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def workspace_of(target: Path) -> Path:
    """Give the folder in which a target grows.

    Examples
    --------
    >>> str(workspace_of(Path("data/a.zarr")))
    'data/.a.zarr.partial'
    """
    return target.with_name(f".{target.name}.partial")


@attrs.frozen
class Owner:
    """Who writes a target.

    Attributes
    ----------
    user, host : str
        By name.
    pid : int
        Of the process, on its host.
    since : float
        When it began, in seconds since 1970.
    """

    user: str
    host: str
    pid: int
    since: float

    @classmethod
    def me(cls) -> Owner:
        """Give the owner that this process is."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a number without a name, as in containers
            user = str(os.getuid())
        return cls(user, socket.gethostname(), os.getpid(), time.time())

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """Read what `dump` wrote; ``None`` where that is nothing, or was cut off."""
        try:
            data = json.loads(text)
            return cls(str(data["user"]), str(data["host"]), int(data["pid"]), float(data["since"]))
        except (ValueError, KeyError, TypeError):
            return None

    def dump(self) -> str:
        """Write it as JSON."""
        return json.dumps(attrs.asdict(self))

    def is_gone(self) -> bool:
        """Whether it is known that the process does not run any more: of another host nothing is known."""
        if self.host != socket.gethostname():
            return False
        if self.pid == os.getpid():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    def __str__(self) -> str:
        return (
            f"{self.user} on {self.host}, process {self.pid}, since {ago(time.time() - self.since)}"
        )


def ago(seconds: float) -> str:
    """Write a time span as people say it.

    Examples
    --------
    >>> ago(3 * 3600 + 5), ago(61)
    ('3.0 hours', '1.0 minutes')
    """
    size, name = next((u for u in _UNITS if seconds >= u[0]), _UNITS[-1])
    return f"{seconds / size:.1f} {name}"


class Workspace:
    """The hidden folder of a target, held by this process until it is closed.

    Parameters
    ----------
    target : Path
        Absolute.
    parents : bool
        Make the folders above, too.
    break_lock : bool
        Take it over from an owner of whom nothing is known.

    Raises
    ------
    SourceError
        Somebody else writes the target, or nothing can be written there.
    """

    def __init__(self, target: Path, *, parents: bool = True, break_lock: bool = False) -> None:
        self.target = target
        self.folder = workspace_of(target)
        try:
            self._lock = self._locked(parents=parents, break_lock=break_lock)
        except OSError as error:
            if isinstance(error, SourceError):
                raise
            raise SourceError("cannot write here", got=error, where=str(target)) from error
        self._kept = self.run() is not None

    @property
    def data(self) -> Path:
        """What becomes the target."""
        return self.folder / "data"

    @property
    def journal(self) -> Path:
        """Which blocks are done."""
        return self.folder / "journal"

    def run(self) -> dict[str, Any] | None:
        """Give what `begin` kept of the run that is to be gone on with; ``None`` where there is none."""
        try:
            found = json.loads((self.folder / "run.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) and self.data.exists() else None

    def begin(self, run: Mapping[str, Any]) -> None:
        """Keep what the run is: from now on it can be gone on with."""
        replace_file(self.folder / "run.json", json.dumps(run, indent=1))
        sync(self.folder)

    def clear(self) -> None:
        """Remove what an earlier run has left."""
        self._kept = False
        # first of all: what is left when this is interrupted is not gone on with
        (self.folder / "run.json").unlink(missing_ok=True)
        for entry in self.folder.iterdir():
            if entry.name == "owner":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def beat(self) -> None:
        """Show that the owner lives."""
        with suppress(OSError):
            os.utime(self._lock)

    def keep(self) -> None:
        """Leave the folder there for the next run, as one that is gone on with is left anyway."""
        self._kept = True

    def drop(self) -> None:
        """Remove the folder in the end."""
        self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._kept:
                os.ftruncate(self._lock, 0)
            else:
                self.clear()
                (self.folder / "owner").unlink()
                self.folder.rmdir()
        finally:
            os.close(self._lock)

    def _locked(self, *, parents: bool, break_lock: bool) -> int:
        """Take the lock: the kernel's, which ends with its process, and what the file says for other hosts."""
        path = self.folder / "owner"
        while True:
            if parents:
                self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(exist_ok=True)
            try:
                lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # removed by a run that is just over
                continue
            try:
                if self._is_taken(lock, path, break_lock=break_lock):
                    return lock
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)

    def _is_taken(self, lock: int, path: Path, *, break_lock: bool) -> bool:
        """Lock an open file; false where it is not the one at its path any more."""
        alone = True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._refuse(lock, breakable=False)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            alone = False
        try:
            if not os.path.samestat(os.fstat(lock), path.stat()):
                return False
        except FileNotFoundError:
            return False
        owner = Owner.parse(os.pread(lock, 4096, 0).decode(errors="replace"))
        here = owner is not None and owner.host == socket.gethostname()
        if owner is not None and not break_lock and not (here and alone) and not owner.is_gone():
            self._refuse(lock, breakable=True)
        os.ftruncate(lock, 0)
        os.pwrite(lock, Owner.me().dump().encode(), 0)
        os.fsync(lock)
        return True

    def _refuse(self, lock: int, *, breakable: bool) -> None:
        owner = Owner.parse(os.pread(lock, 4096, 0).decode(errors="replace"))
        seen = ago(max(time.time() - os.fstat(lock).st_mtime, 0))
        raise SourceError(
            "somebody else writes it",
            got=f"{owner or 'an unknown process'}, last seen {seen} ago",
            where=str(self.target),
            hint="if that run is over, break_lock=True (--break-lock) takes its place"
            if breakable
            else "wait until that run is over",
        )
