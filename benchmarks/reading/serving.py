"""The side of a process that reads: what it does with the lines of its standard input.

Needs nothing but numpy, so that it runs in any environment. Each line is a request, a JSON object; each is answered by one, in
the order of the requests. What goes wrong ends the process with a traceback; only a program that is not installed is an answer.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Box(NamedTuple):
    """Voxels over the spatial axes."""

    offset: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def slices(self) -> tuple[slice, ...]:
        """Of an array that starts at 0."""
        return tuple(slice(o, o + n) for o, n in zip(self.offset, self.shape, strict=True))


Voxels = np.ndarray
Read = Callable[[Box], Voxels]
Reader = Callable[[Sequence[Box]], Iterable[Voxels]]
Maker = Callable[..., Reader]

BATCH = 8


def one_by_one(read: Read) -> Reader:
    """Read one box after the other."""
    return lambda boxes: map(read, boxes)


def in_flight(start: Callable[[Box], Any], number: int) -> Reader:
    """Ask for some boxes before the first of them is there."""

    def read(boxes: Sequence[Box]) -> Iterator[Voxels]:
        rest = iter(boxes)
        waiting = deque(map(start, itertools.islice(rest, number)))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(map(start, itertools.islice(rest, 1)))

    return read


def in_threads(read: Read, number: int) -> Reader:
    """Read several boxes at a time."""
    pool = ThreadPoolExecutor(number)
    return in_flight(lambda box: pool.submit(read, box), number)


def required(program: str) -> None:
    """Refuse a program that is not there, or only as a stand-in for others."""
    spec = importlib.util.find_spec(program)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {program!r}")


def loaded(reader: Reader) -> Reader:
    """Read through a DataLoader of torch that stays in this process; the boxes of a batch are asked for together."""
    required("torch")
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)  # as in workers; others would spin beside those that read

    class Patches:
        def __init__(self, boxes: Sequence[Box]) -> None:
            self.boxes = boxes

        def __len__(self) -> int:
            return len(self.boxes)

        def __getitems__(self, indices: Sequence[int]) -> list[Voxels]:
            return list(reader([self.boxes[index] for index in indices]))

    def read(boxes: Sequence[Box]) -> Iterator[Voxels]:
        for batch in DataLoader(Patches(boxes), batch_size=BATCH):
            yield from batch.numpy()

    return read


class Server:
    """Does what requests say.

    Parameters
    ----------
    makers : mapping of str to callable
        By name, what opens something and gives a function that reads boxes of it.
    programs : sequence of str
        Distributions whose versions are asked for.
    """

    def __init__(self, makers: Mapping[str, Maker], programs: Sequence[str]) -> None:
        self._makers, self._programs = makers, programs
        self._readers: dict[str, Reader] = {}

    def answer(self, do: str, **more: Any) -> dict[str, Any]:
        """Do one thing."""
        requests = {
            "open": self._open,
            "save": self._save,
            "seconds": self._seconds,
            "growth": self._growth,
            "versions": self._versions,
        }
        return requests[do](**more)

    def _open(self, key: str, maker: str, *, load: bool = False, **more: Any) -> dict[str, Any]:
        try:
            reader = self._makers[maker](**more)
            self._readers[key] = loaded(reader) if load else reader
        except ImportError as error:
            return {"absent": str(error)}
        return {}

    def _save(self, key: str, boxes: list[Any], file: str) -> dict[str, Any]:
        read = [np.array(voxels) for voxels in self._readers[key](_boxes(boxes))]
        np.savez(file, *read)
        return {}

    def _seconds(self, key: str, boxes: list[Any]) -> dict[str, Any]:
        reader, wanted = self._readers[key], _boxes(boxes)
        start = time.perf_counter()
        deque(reader(wanted), maxlen=0)
        return {"seconds": time.perf_counter() - start}

    def _growth(self, key: str, boxes: list[Any], *, traced: bool = False) -> dict[str, Any]:
        """Measure the most memory that the process had while it read, above what it had before; or that Python allocated."""
        reader, wanted = self._readers[key], _boxes(boxes)
        if traced:
            tracemalloc.start()
            deque(reader(wanted), maxlen=0)
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return {"growth": most}
        Path("/proc/self/clear_refs").write_text("5")  # the most so far is forgotten
        before = memory("VmRSS")
        deque(reader(wanted), maxlen=0)
        return {"growth": memory("VmHWM") - before}

    def _versions(self) -> dict[str, Any]:
        return {"versions": installed(self._programs)}


def installed(programs: Sequence[str]) -> dict[str, str]:
    """Give the versions of those programs that are there."""
    found = {}
    for program in programs:
        try:
            found[program] = version(program)
        except PackageNotFoundError:
            continue
    return found


def _boxes(boxes: list[Any]) -> list[Box]:
    return [Box(tuple(offset), tuple(shape)) for offset, shape in boxes]


def memory(kind: str) -> int:
    """Give a line of what Linux says of the memory of this process, in bytes."""
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def serve(makers: Mapping[str, Maker], programs: Sequence[str]) -> None:
    """Answer until the input ends; what programs print goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    server = Server(makers, programs)
    for line in sys.stdin:
        print(json.dumps(server.answer(**json.loads(line))), file=answers, flush=True)
