"""Which blocks of a run are done, in a file that outlives the process: lines are added to it, and none is ever changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from dacapo_like.errors import SourceError
from dacapo_like.replacing import sync

_DONE, _UNDONE = b"+", b"-"


class Entry(NamedTuple):
    """A block whose files are on the disk.

    Attributes
    ----------
    sweep, block : int
        Which one.
    files, nbytes : int
        How many files it has; those of nothing but zeros are not there.
    """

    sweep: int
    block: int
    files: int = 0
    nbytes: int = 0


class Journal:
    """A file with the key of its run in the first line, and a line for every block that is done.

    In memory a block takes one bit. A last line without an end is one that a killed process did not finish: it is cut off.

    Parameters
    ----------
    path : Path
        Made where it is not there.
    key : str
        Of the run.
    totals : sequence of int
        Blocks of every sweep.

    Raises
    ------
    SourceError
        The file is not the journal of this run, or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for _ in range(2):
    ...         journal = Journal(Path(folder, "journal"), "key", [3, 1])
    ...         missing = [list(journal.missing(sweep)) for sweep in (0, 1)]
    ...         journal.add([Entry(0, 1, files=8, nbytes=4096)])
    ...         journal.close()
    >>> missing
    [[0, 2], [0]]
    """

    def __init__(self, path: Path, key: str, totals: Sequence[int]) -> None:
        self.path = path
        self.key = key
        self.totals = tuple(totals)
        self.counts = [0] * len(self.totals)
        self._bits = [bytearray(-(-total // 8)) for total in self.totals]
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise self._failure("the journal cannot be written", error.strerror) from error
        try:
            self._read(key)
        except BaseException:
            self.close()
            raise

    def __contains__(self, block: tuple[int, int]) -> bool:
        sweep, index = block
        return bool(self._bits[sweep][index // 8] >> index % 8 & 1)

    def missing(self, sweep: int) -> Iterator[int]:
        """Walk over the blocks of a sweep that are not done."""
        bits = self._bits[sweep]
        for first in range(0, self.totals[sweep], 8):
            if bits[first // 8] == 0xFF:
                continue
            for index in range(first, min(first + 8, self.totals[sweep])):
                if (sweep, index) not in self:
                    yield index

    def entries(self) -> Iterator[Entry]:
        """Walk over the blocks that are done, with what was said of each when it was last done."""
        found: dict[tuple[int, int], Entry] = {}
        for sign, entry in self._lines():
            if sign == _DONE:
                found[entry.sweep, entry.block] = entry
            else:
                found.pop((entry.sweep, entry.block), None)
        yield from found.values()

    def add(self, entries: Iterable[Entry]) -> None:
        """Record blocks whose files are on the disk already; so are the records when this returns."""
        self._append(_DONE, entries)

    def drop(self, entries: Iterable[Entry]) -> None:
        """Record that blocks are to be done again."""
        self._append(_UNDONE, entries)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _append(self, sign: bytes, entries: Iterable[Entry]) -> None:
        known = list(entries)
        lines = [sign + b"%d %d %d %d\n" % entry for entry in known]
        if not lines:
            return
        try:
            data = b"".join(lines)
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)
        except OSError as error:
            raise self._failure("the journal cannot be written", error.strerror) from error
        for entry in known:
            self._note(sign, entry)

    def _note(self, sign: bytes, entry: Entry) -> None:
        bits, at, bit = self._bits[entry.sweep], entry.block // 8, 1 << entry.block % 8
        was = bool(bits[at] & bit)
        if (sign == _DONE) != was:
            bits[at] ^= bit
            self.counts[entry.sweep] += -1 if was else 1

    def _read(self, key: str) -> None:
        size = os.fstat(self._file).st_size
        heading = key.encode() + b"\n"
        if size < len(heading):  # new, or not even begun
            os.ftruncate(self._file, 0)
            os.write(self._file, heading)
            os.fsync(self._file)
            sync(self.path.parent)
            return
        if os.pread(self._file, len(heading), 0) != heading:
            raise self._failure("the journal is of another run", None)
        for sign, entry in self._lines(cut=True):
            self._note(sign, entry)

    def _lines(self, *, cut: bool = False) -> Iterator[tuple[bytes, Entry]]:
        with self.path.open("rb") as file:
            place = len(file.readline())
            for line in file:
                if not line.endswith(b"\n"):
                    break
                yield line[:1], self._parsed(line)
                place += len(line)
        if cut:
            os.ftruncate(self._file, place)

    def _parsed(self, line: bytes) -> Entry:
        try:
            entry = Entry(*map(int, line[1:].split()))
            known = entry.block < self.totals[entry.sweep] and min(entry) >= 0
        except (ValueError, TypeError, IndexError):
            known = False
        if not known or line[:1] not in (_DONE, _UNDONE):
            raise self._failure("the journal is corrupt", repr(line[:50]))
        return entry

    def _failure(self, what: str, got: str | None) -> SourceError:
        return SourceError(
            what,
            got=got,
            where=str(self.path),
            hint="restart=True (--restart) does all of the run again",
        )
