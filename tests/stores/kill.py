"""Kills processes that change an array of a store, each at another line that Python runs for it: URL COUNTS.

COUNTS says how many for each change. After each the store has the array as it was before or as it should become, and nothing
else; nor does a process that reads all the time ever meet anything else. Prints how often it was which.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from dacapo_like.stores.backend import Backend
from dacapo_like.stores.opening import open_backend

NAME, OTHER = "victim", "renamed"
OLD = "type: zarr\nfile_name: /data/old.zarr\n"
NEW = f"type: zarr\nfile_name: /data/new.zarr\ndataset: {'x' * 20_000}\n"
State: TypeAlias = dict[str, str]
CHANGES: dict[str, tuple[Callable[[Backend], None], State, State]] = {
    "overwrite": (lambda at: at.put(NAME, NEW, overwrite=True), {NAME: OLD}, {NAME: NEW}),
    "put": (lambda at: at.put(NAME, NEW, overwrite=False), {}, {NAME: NEW}),
    "rename": (lambda at: at.rename(NAME, OTHER), {NAME: OLD}, {OTHER: OLD}),
    "delete": (lambda at: at.delete(NAME), {NAME: OLD}, {}),
}


def counting(reached: Callable[[int], None]) -> Callable[[FrameType, str, Any], Any]:
    """Make a trace function that says how many lines were run."""
    lines = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            reached(lines)
        return trace

    return trace


def lines_of(change: Callable[[], None]) -> int:
    """Count the lines that a change takes in a forked process, where connections are made anew."""
    ours, theirs = os.pipe()
    if not os.fork():
        lines = 0

        def remember(number: int) -> None:
            nonlocal lines
            lines = number

        sys.settrace(counting(remember))
        change()
        sys.settrace(None)
        os.write(theirs, str(lines).encode())
        os._exit(0)
    os.wait()
    return int(os.read(ours, 100))


def lines_to_kill_at(total: int) -> Iterator[int]:
    """Give the last line, the first, and then by turns any and one of the last tenth, where changes are done."""
    draw = random.Random(0)
    yield from (total, 1)
    while True:
        yield draw.randrange(1, total + 1)
        yield draw.randrange(total - total // 10, total + 1)


def prepare(at: Backend, before: State) -> None:
    for name in at.names():
        if name not in before:
            at.delete(name)
    for name, text in before.items():
        at.put(name, text, overwrite=True)


def contents(at: Backend) -> dict[str, str | None]:
    return {name: at.text(name) for name in at.names()}


def watch(url: str) -> Callable[[], int]:
    """Start a process that reads the store all the time; what ends it gives how often it read, and nothing but whole arrays."""
    ours, theirs = os.pipe()
    watcher = os.fork()
    if not watcher:
        at, times, ended = open_backend(url), 0, []
        signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
        while not ended:
            time.sleep(0.003)  # leaves the processors to the others
            for name, text in contents(at).items():
                assert name in (NAME, OTHER), name
                assert text in (None, OLD, NEW), text  # None: it is gone since its name was read
            times += 1
        os.write(theirs, str(times).encode())
        os._exit(0)

    def end() -> int:
        os.kill(watcher, signal.SIGTERM)
        _, status = os.waitpid(watcher, 0)
        assert status == 0
        return int(os.read(ours, 100))

    return end


def kill_during(at: Backend, change: str, count: int) -> dict[str, int]:
    """Kill so many processes; give how often the store was as before, and as after, and how many lines a change takes."""
    apply, before, after = CHANGES[change]
    prepare(at, before)
    apply(at)  # what is imported and made once is there
    prepare(at, before)
    total = lines_of(lambda: apply(at))
    assert contents(at) == after

    def kill_at(line: int) -> Callable[[int], None]:
        return lambda lines: os.kill(os.getpid(), signal.SIGKILL) if lines == line else None

    found: Counter[str] = Counter()
    points = lines_to_kill_at(total)
    while found["killed"] < count:  # how many lines a server's answer takes is not always the same
        prepare(at, before)
        line = next(points)
        child = os.fork()
        if not child:
            sys.settrace(counting(kill_at(line)))
            apply(at)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        now = contents(at)
        assert now in (before, after), (line, now)
        found["after" if now == after else "before"] += 1
        found["killed"] += os.WIFSIGNALED(status)
    return {**found, "lines": total}


def main(url: str, counts: str) -> None:
    os.environ["SSL_CERT_FILE"] = (
        os.devnull
    )  # else pg8000 reads all certificates for every connection, and needs none
    at = open_backend(url)
    prepare(at, {})
    end = watch(url)
    killed = {
        change: kill_during(at, change, count) for change, count in json.loads(counts).items()
    }
    read = end()
    at.put(NAME, OLD, overwrite=True)
    left_over = list(Path(url).glob(".*.partial-*")) if "://" not in url else []
    sys.stdout.write(json.dumps({"changes": killed, "read": read, "left_over": len(left_over)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
