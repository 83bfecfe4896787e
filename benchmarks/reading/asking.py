"""The side that asks: processes that read, in this environment and in those of others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Way
from benchmarks.reading.serving import Box

ROOT = Path(__file__).parents[2]
PATIENCE = 10.0  # seconds for a process to end by itself

Turns = Callable[[int], Sequence[Box]]
"""Gives the boxes of a turn."""


class Process:
    """A process that reads what it is asked for; `close` ends it.

    Parameters
    ----------
    script : Path
        What runs in it: it calls `serving.serve`.
    python : Path
        Of the environment that it runs in.
    **environment : str
        Variables.
    """

    def __init__(
        self, script: Path, python: Path = Path(sys.executable), **environment: str
    ) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            [python, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **environment},
        )

    def close(self) -> None:
        """Let the process end."""
        try:
            self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Wait for the answer to a request.

        Raises
        ------
        RuntimeError
            The process ended instead; what it said is in the message.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps({"do": do, **more}), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            answer = ""
        else:
            answer = self._process.stdout.readline()
        if not answer:
            self._process.wait()
            self._errors.seek(0)
            raise RuntimeError(self._errors.read().decode(errors="replace"))
        found: dict[str, Any] = json.loads(answer)
        return found

    def open(self, maker: str, **more: Any) -> Reading:
        """Open something to be read.

        Raises
        ------
        AbsentError
            The program is not installed there.
        """
        key = json.dumps([maker, more], sort_keys=True)
        answer = self.ask("open", key=key, maker=maker, **more)
        if "absent" in answer:
            raise AbsentError(answer["absent"])
        return Reading(self, key)

    def versions(self) -> Mapping[str, str]:
        """Give the versions of the programs that it reads with."""
        found: dict[str, str] = self.ask("versions")["versions"]
        return found


class AbsentError(Exception):
    """A program is not installed."""


class Reading:
    """Something that a process has opened."""

    def __init__(self, process: Process, key: str) -> None:
        self._process, self._key = process, key

    def voxels(self, boxes: Sequence[Box]) -> list[NDArray[Any]]:
        """Read boxes."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "voxels.npz"
            self._ask("save", boxes, file=str(file))
            with np.load(file) as read:
                return list(read.values())

    def way(self, turns: Turns) -> Way:
        """Give a way of a race: to read the boxes of a turn, timed where they are read."""
        return lambda turn: float(self._ask("seconds", turns(turn))["seconds"])

    def growth(self, boxes: Sequence[Box], *, traced: bool = False) -> int:
        """Give how many bytes larger the process was at most while it read; or how many Python and numpy had allocated."""
        return int(self._ask("growth", boxes, traced=traced)["growth"])

    def _ask(self, do: str, boxes: Sequence[Box], **more: Any) -> dict[str, Any]:
        return self._process.ask(do, key=self._key, boxes=boxes, **more)


def warm_up(readings: Iterable[Reading], boxes: Sequence[Box]) -> None:
    """Have all of them read boxes once, so that what has a cache holds them."""
    for reading in readings:
        reading.way(lambda _: boxes)(0)


def check(readings: Mapping[str, Reading], boxes: Sequence[Box], *, but: str | None = None) -> None:
    """Compare what all of them read with what the first does; one may be left out.

    Raises
    ------
    AssertionError
        One of them reads other voxels.
    """
    first, *others = readings
    expected = readings[first].voxels(boxes)
    for name in others:
        if name == but:
            continue
        for voxels, read in zip(expected, readings[name].voxels(boxes), strict=True):
            same = read.reshape(voxels.shape)
            np.testing.assert_allclose(same, voxels, rtol=1e-6, atol=1e-6, err_msg=name)


def peer_python(name: str) -> Path | None:
    """Find the interpreter of an environment of `make peers`, or of the one that a variable names."""
    ours = ROOT / f".venv-{name}"
    found = os.environ.get(f"DACAPO_LIKE_PEERS_{name.upper()}")
    folder = Path(found) if found else ours if (ours / ".installed").exists() else None
    return None if folder is None else folder / "bin" / "python"
