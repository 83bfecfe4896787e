"""What feeds inputs to the target: mutations, blind or guided by coverage, and Hypothesis."""

from __future__ import annotations

import os
import random
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from . import strategies
from .mutations import mutated, written
from .seeds import seeds
from .target import LONGEST, fault_of, fault_of_mapping

MEMORY_MIB = 1500
"""What the whole of it may take."""


class Tally:
    """Counts inputs and keeps the first of each fault."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder, self.engine = folder, engine
        self.count = 0
        self.faults: dict[str, str] = {}
        self.started = self._said = time.monotonic()

    def take(self, data: bytes, fault: str | None) -> None:
        self.count += 1
        now = time.monotonic()
        if now - self._said > 30:
            self._said = now
            self.report()
        if fault is None:
            return
        kind = re.sub(r"[0-9.]+ s$|: .*", "", fault, flags=re.DOTALL)
        if kind not in self.faults:
            self.faults[kind] = fault
            self.folder.mkdir(parents=True, exist_ok=True)
            name = re.sub(r"\W+", "_", kind)[:80]
            (self.folder / name).write_bytes(data)
            print(f"FAULT {fault}\n      {self.folder / name}", flush=True)

    def report(self) -> int:
        """Say how it goes; give the exit code."""
        took = max(time.monotonic() - self.started, 1e-9)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"{self.engine}: {self.count} inputs in {took:.0f} s ({self.count / took:.0f} a second), at most {memory} MiB, "
            f"{len(self.faults)} faults",
            flush=True,
        )
        if memory > MEMORY_MIB:
            self.faults.setdefault("memory", f"{memory} MiB")
        return int(bool(self.faults))


def warm_up() -> None:
    """Import all that is imported when it is first needed."""
    for data in seeds():
        fault_of(data)


def blind(tally: Tally, inputs: int, seed: int) -> None:
    """Run mutations of the seeds."""
    chance = random.Random(seed)
    for _ in range(inputs):
        data = mutated(chance.choice(seeds()), chance)[:LONGEST]
        tally.take(data, fault_of(data))


def guided(tally: Tally, inputs: int, seed: int, corpus: Path) -> None:
    """Run atheris; it ends the process."""
    import atheris

    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()):
        (corpus / f"{number:03}").write_bytes(data)

    def test_one_input(data: bytes) -> None:
        tally.take(data, fault_of(data))
        if tally.count >= inputs:
            code = tally.report()
            sys.stdout.flush()
            os._exit(code)  # libFuzzer would go on

    def mutate(data: bytes, max_size: int, number: int) -> bytes:
        chance = random.Random(number)
        if chance.random() < 0.2:
            return atheris.Mutate(data, max_size)
        return mutated(data, chance)[:max_size]

    arguments = [
        sys.argv[0],
        f"-seed={seed}",
        f"-max_len={2**14}",
        "-rss_limit_mb=0",
        "-timeout=60",
    ]
    atheris.Setup([*arguments, "-verbosity=0", str(corpus)], test_one_input, custom_mutator=mutate)
    atheris.Fuzz()


def drawn(tally: Tally, inputs: int, seed: int) -> None:
    """Run what Hypothesis draws."""
    batch = 10_000  # it remembers what it has drawn

    def run(strategy: st.SearchStrategy, check: Callable, count: int, number: int) -> None:
        @seeded(number)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        @given(strategy)
        def test(drawn: tuple) -> None:
            check(drawn)

        test()

    def check_document(drawn: tuple) -> None:
        data = written(drawn[0], drawn[1])
        tally.take(data, fault_of(data))

    def check_mapping(drawn: tuple) -> None:
        tally.take(repr(drawn).encode("utf-8", "replace"), fault_of_mapping(*drawn))

    while tally.count < inputs:
        left = min(batch, inputs - tally.count)
        number = seed + tally.count
        run(
            st.tuples(strategies.documents, st.randoms(use_true_random=False)),
            check_document,
            max(left * 4 // 5, 1),
            number,
        )
        run(
            st.tuples(strategies.mappings, strategies.overrides),
            check_mapping,
            max(left // 5, 1),
            number,
        )


def again(path: Path) -> bool:
    """Run the inputs in a file or folder once more, and say how each went."""
    warm_up()
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = {file: fault_of(file.read_bytes()) for file in files}
    for file, fault in found.items():
        print(f"{fault or 'ok'}  {file.name}")
    return any(found.values())
