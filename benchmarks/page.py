"""The page with the results: what each benchmark shows, its tables, and what people have to remark on them."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs

from benchmarks.reading.asking import ROOT
from benchmarks.reading.serving import installed
from benchmarks.results import Line, Table
from benchmarks.running import Run

REMARKS = Path(__file__).parent / "remarks"
PROGRAMS = (
    "dacapo_like",
    "numpy",
    "numba",
    "tensorstore",
    "zarr",
    "numcodecs",
    "h5py",
    "dask",
    "scipy",
    "SimpleITK",
    "fastremap",
    "tinybrain",
    "opencv-python-headless",
    "torch",
)
INTRODUCTION = """\
# Performance

This page is written by `make bench`; what is changed by hand is lost, except in `benchmarks/remarks/`, whose pages are put in here.

All ways of doing the same do it in one run, in turns, on the same data, and what they read is compared before anything is timed. A
time is the median over the turns, with the middle half of them in parentheses. A ratio is the median of the ratios within each turn:
what slows the machine for a while slows both. *Of its time* says how many times as long this package takes as the other; *times as
fast* the other way around. Files are in the page cache of the system. What a ratio is wanted to be was set before it was measured.
"""


@attrs.frozen
class Section:
    """What one benchmark gave.

    Attributes
    ----------
    name : str
        Of its module.
    title, about : str
        What it is called, and what it shows.
    tables : sequence of Table
        Its results.
    """

    name: str
    title: str
    about: str
    tables: Sequence[Table]

    def lines(self) -> Iterator[Line]:
        """Give the lines of all tables."""
        for table in self.tables:
            yield from table.lines

    def verdicts(self) -> list[bool]:
        """Say of each line of which something is wanted whether it is so."""
        return [line.met for line in self.lines() if line.met is not None]

    def markdown(self, remarks: Path = REMARKS) -> str:
        """Give its part of the page."""
        parts = [f"## {self.title}", self.about.strip(), *(t.markdown() for t in self.tables)]
        file = remarks / f"{self.name}.md"
        if file.exists():
            parts.append(file.read_text().strip())
        return "\n\n".join(parts)


def write_page(path: Path, sections: Sequence[Section], run: Run) -> None:
    """Write the page."""
    day = datetime.now(UTC).strftime("%d %B %Y").lstrip("0")
    here = installed(PROGRAMS)
    environments = {f"Python {platform.python_version()}, with": here, **run.versions}
    parts = [
        INTRODUCTION.strip(),
        f"Measured on {day}, on {machine()}, revision {revision()}.",
        "\n".join(
            f"- {PLACES.get(name, name)} {', '.join(f'{p} {v}' for p, v in known.items())}"
            for name, known in environments.items()
        ),
        absent(run.absent),
        summary(sections),
        *(section.markdown() for section in sections),
    ]
    path.write_text("\n\n".join(part for part in parts if part) + "\n")


PLACES = {"dacapo_ml": "DaCapo's environment:", "formats": "the other programs' environment:"}


def absent(programs: Mapping[str, str]) -> str:
    """Name what was not there to be compared with."""
    if not programs:
        return ""
    named = (f"{name} ({reason})" for name, reason in programs.items())
    return f"Not compared, since they are not installed: {'; '.join(named)}."


def summary(sections: Sequence[Section]) -> str:
    """Count, for each benchmark, how much of what is wanted is so."""
    rows = ["| | wanted | met |", "| --- | --- | --- |"]
    for section in sections:
        verdicts = section.verdicts()
        link = re.sub(r"[^\w -]", "", section.title.lower()).replace(" ", "-")
        rows.append(f"| [{section.title}](#{link}) | {len(verdicts)} | {sum(verdicts)} |")
    return "\n".join(rows)


def machine() -> str:
    """Describe the machine in general terms.

    Examples
    --------
    >>> machine().endswith("Linux")  # doctest: +SKIP
    True
    """
    cores = len(os.sched_getaffinity(0))
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    model = found[1].strip() if found else platform.machine()
    return f"{cores} cores of {model}, {platform.system()}"


def revision() -> str:
    """Give the short name of the commit, and whether something was changed since."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
