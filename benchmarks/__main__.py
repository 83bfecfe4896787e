"""Runs benchmarks, all of them by default: ``python -m benchmarks [--smoke] [--only NAME …] [--page FILE]``."""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.page import Section, write_page
from benchmarks.running import Run, default_labels

NAMES = (
    "one_source",
    "composed",
    "wrapping",
    "opening",
    "verify",
    "patches",
    "groups",
    "memory",
    "patch_reads",
    "bytes_read",
    "pooling",
    "interpolation",
    "transforms",
    "materialize",
    "serving",
)


def sections(run: Run, names: list[str]) -> Iterator[Section]:
    """Run benchmarks, and print what they give."""
    for name in names:
        start = time.perf_counter()
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"=== {module.TITLE} ({name})", flush=True)
        tables = []
        for table in module.run(run):
            print(f"\n{table.text()}", flush=True)
            tables.append(table)
        print(f"\n{time.perf_counter() - start:.1f} s\n", flush=True)
        yield Section(name, module.TITLE, module.__doc__ or "", tables)


def main() -> int:
    """Run what the command line asks for; what misses a bound that does not depend on the machine is a failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--smoke", action="store_true", help="small and few: only show that everything runs"
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME")
    parser.add_argument("--page", type=Path, help="where to write the results of a full run")
    parser.add_argument(
        "--labels", type=Path, default=default_labels(), help="HDF5 file with `labels`"
    )
    options = parser.parse_args()
    if options.page and (options.smoke or options.only != NAMES):
        parser.error("a page is written of a full run")
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), options.smoke, options.labels)
        with closing(run):
            done = list(sections(run, list(options.only)))
    for name, reason in run.absent.items():
        print(f"absent: {name} ({reason})")
    if options.page:
        write_page(options.page, done, run)
    missed = [
        line for section in done for line in section.lines() if line.exact and line.met is False
    ]
    for line in missed:
        print(f"missed on any machine: {' '.join(line.cells('ms'))}", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
