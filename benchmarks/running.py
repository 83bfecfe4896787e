"""What a run of benchmarks has in common: its folder, how much it does, the processes that read for it, and what is absent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import attrs

from benchmarks.reading.asking import ROOT, AbsentError, Process, Reading, peer_python

T = TypeVar("T")

HERE = "here"
_SMOKE_CACHE = 2**26  # for all: processes take their time to start
ENVIRONMENTS = {"dacapo_ml": "dacapo", "formats": "formats"}
"""Scripts that run in environments of `make peers`."""


@attrs.define
class Run:
    """One run; `close` ends its processes.

    Attributes
    ----------
    folder : Path
        For data.
    smoke : bool
        Little and small: only to show that everything runs and agrees.
    labels : Path or None
        A real segmentation.
    absent : dict of str to str
        Programs that are not there, and why.
    versions : dict of str to dict
        Of programs in environments of their own, by environment.
    """

    folder: Path
    smoke: bool
    labels: Path | None
    absent: dict[str, str] = attrs.Factory(dict)
    versions: dict[str, Mapping[str, str]] = attrs.Factory(dict)
    _processes: dict[tuple[str, int], Process] = attrs.Factory(dict)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes.values():
            process.close()

    def full(self, value: T, smoke: T) -> T:
        """Choose between what a full run does and what shows that it runs."""
        return smoke if self.smoke else value

    def here(self, cache: int = 0) -> Process:
        """Give a process of this environment; the decoded chunks that it keeps have so many bytes."""
        return self._process(HERE, self.full(cache, _SMOKE_CACHE if cache else 0))

    def read_by(self, peer: str, maker: str, **more: object) -> Reading | None:
        """Let a program of another environment open something; ``None``, and a note, where it is not there."""
        try:
            return self._process(peer, 0).open(maker, **more)
        except AbsentError as error:
            self.absent[maker] = str(error)
            return None

    def _process(self, script: str, cache: int) -> Process:
        key = (script, cache)
        if key not in self._processes:
            self._processes[key] = self._start(script, cache)
            if versions := self._processes[key].versions():
                self.versions[script] = versions
        return self._processes[key]

    @staticmethod
    def _start(script: str, cache: int) -> Process:
        path = Path(__file__).parent / "reading" / f"{script}.py"
        if script == HERE:
            return Process(path, DACAPO_LIKE_CACHE_BYTES=str(cache))
        python = peer_python(ENVIRONMENTS[script])
        if python is None:
            raise AbsentError("its environment is not installed: run `make peers`")
        return Process(path, python)


def default_labels() -> Path | None:
    """Find the real segmentation: where a variable says, or beside the repository."""
    named = os.environ.get("DACAPO_LIKE_LABELS")
    path = Path(named) if named else ROOT.parent / "shared" / "data" / "labels_256.h5"
    return path if path.exists() else None
