"""Fuzz the loader of documents: ``python -m tests.fuzz --inputs 1000000``.

Most inputs are mutations of seeds; one of four is guided by coverage, where atheris is installed, and one of twenty drawn by
Hypothesis. What is found is written to files, one for each place where it happened; the exit code says whether there was anything.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--engine", choices=("all", "atheris", "blind", "hypothesis"), default="all"
    )
    parser.add_argument("--findings", type=Path, default=Path(".fuzz/findings"))
    parser.add_argument("--again", type=Path, help="run what is in this file or folder, no more")
    given = parser.parse_args()
    if given.again is None and given.engine == "all":
        return all_engines(given)
    if given.engine == "atheris":
        import atheris

        with atheris.instrument_imports(include=["dacapo_like.config"]):
            from . import engines
    else:
        from . import engines
    if given.again is not None:
        return int(engines.again(given.again))
    engines.warm_up()
    tally = engines.Tally(given.findings, given.engine)
    if given.engine == "atheris":
        engines.guided(tally, given.inputs, given.seed, given.findings.parent / "corpus")
    engine = {"blind": engines.blind, "hypothesis": engines.drawn}[given.engine]
    engine(tally, given.inputs, given.seed)
    return tally.report()


def all_engines(arguments: argparse.Namespace) -> int:
    """Run the engines beside each other, each in a process of its own."""
    guided = arguments.inputs // 4 if importlib.util.find_spec("atheris") else 0
    drawn = arguments.inputs // 20  # each takes ten times as long
    blind = arguments.inputs - guided - drawn
    shares = {"atheris": guided, "hypothesis": drawn, "blind": blind}
    common = [sys.executable, "-m", "tests.fuzz"]
    common += ["--seed", str(arguments.seed), "--findings", str(arguments.findings)]
    running = [
        subprocess.Popen([*common, "--engine", name, "--inputs", str(inputs)])
        for name, inputs in shares.items()
        if inputs
    ]
    return max(process.wait() for process in running)


if __name__ == "__main__":
    sys.exit(main())
