"""``dacapo-like materialize``: writes an array of a document, here or on a cluster, and goes on where it was stopped."""

from __future__ import annotations

import logging
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dacapo_like.cli_stores import store_near, store_option

if TYPE_CHECKING:
    from types import FrameType

    from dacapo_like.core import Array

_DOCUMENT = click.Path(path_type=Path)
_OF_THE_COMMAND = frozenset(
    {
        "overwrite",
        "progress",
        "threads",
        "workers",
        "scheduler",
        "memory",
        "restart",
        "check",
        "break_lock",
    }
)


@click.command()
@click.argument("path", type=_DOCUMENT)
@click.argument("name", nargs=-1)
@click.argument("out", type=_DOCUMENT)
@click.option(
    "--overwrite", is_flag=True, help="Replace what is there already, if of the same format."
)
@click.option("--chunks", help="Voxels per chunk along every axis, for example 1,64,64,64.")
@click.option(
    "--option",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Of the format, VALUE as in YAML; may be given many times.",
)
@click.option("--threads", type=int, help="Of every process; by default all processors.")
@click.option("--workers", type=int, help="Start so many processes on this machine.")
@click.option("--scheduler", metavar="URL", help="Of a dask cluster, such as tcp://host:8786.")
@click.option("--memory", metavar="BYTES", help="That each process may take, such as 4GiB.")
@click.option("--dry-run", is_flag=True, help="Say what would be done: blocks, files, memory.")
@click.option("--restart", is_flag=True, help="Throw away what an earlier run has done.")
@click.option(
    "--check",
    is_flag=True,
    help="Read again what an earlier run has done, before going on; or all of a finished OUT.",
)
@click.option(
    "--break-lock", is_flag=True, help="Take the place of a run on another host, which is over."
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY.PATH=VALUE",
    help="Put a value into the document, VALUE as in YAML; may be given many times.",
)
@store_option
def materialize(
    path: Path,
    name: tuple[str, ...],
    out: Path,
    chunks: str | None,
    settings: tuple[str, ...],
    overrides: tuple[str, ...],
    *,
    dry_run: bool,
    check: bool,
    **how: Any,
) -> None:
    """Write an array of a document in the format that OUT's suffix names: PATH [NAME] OUT.

    An OME-Zarr that was not finished is gone on with by the same command. Exit code 0: written; 1: an error; 2: wrong usage;
    130, 143: interrupted, by Ctrl-C or a SIGTERM.
    """
    from dacapo_like.experiment import open_array

    if len(name) > 1:
        raise click.UsageError(f"expected PATH [NAME] OUT, got {len(name) + 2} arguments")
    options = _options(settings, chunks)
    array = open_array(path, name[0] if name else None, overrides=overrides, store=store_near(path))
    if dry_run:
        _show_plan(array, out, options, how)
    elif check and not how["overwrite"] and _is_finished(out):
        _check(out, how["threads"])
    else:
        _write(array, out, options | how | {"check": check})


def _show_plan(array: Array, out: Path, options: dict[str, Any], how: dict[str, Any]) -> None:
    from dacapo_like.materialize import plan

    means = {key: how[key] for key in ("threads", "workers", "memory")}
    click.echo(plan(array, out, **means, **options).text())


def _is_finished(out: Path) -> bool:
    from dacapo_like.materialize.workspace import workspace_of

    return out.exists() and not workspace_of(out.resolve()).exists()


def _check(out: Path, threads: int | None) -> None:
    from dacapo_like.materialize.checking import check_written
    from dacapo_like.materialize.planning import Means

    voxels = check_written(out, Means.of(threads, None, None).threads)
    click.echo(f"checked {out}: all chunks of {voxels:,} voxels can be read")


def _write(array: Array, out: Path, options: dict[str, Any]) -> None:
    from dacapo_like.materialize import materialize as write

    start = time.monotonic()
    try:
        with _terminable(), _progress(array, out) as progress:
            write(array, out, progress=progress, **options)
    except KeyboardInterrupt as interrupt:
        said = getattr(interrupt, "__notes__", ["nothing is left behind"])
        click.echo(f"interrupted: {' '.join(said)}", err=True)
        sys.exit(143 if isinstance(interrupt, _TerminatedError) else 130)
    seconds = time.monotonic() - start
    click.echo(
        f"wrote {out}: {array.dtype.name} {array.shape}, {progress.blocks} blocks in {seconds:.1f} s"
        + (f", {progress.before} of them before" if progress.before else "")
    )


class _TerminatedError(KeyboardInterrupt):
    """The process was asked to end by a SIGTERM."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Take a SIGTERM, as batch systems send it, for an interrupt."""

    def terminate(_number: int, _frame: FrameType | None) -> None:
        raise _TerminatedError

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Shown:
    """Shows how far a run is, and counts its blocks."""

    def __init__(self, bar: Any, task: Any, nbytes: int) -> None:
        self.before: int | None = None
        self.blocks = 0
        self._bar, self._task, self._nbytes = bar, task, nbytes

    def __call__(self, done: int, total: int) -> None:
        self.blocks = total
        shown = {"completed": self._nbytes * done // max(total, 1), "blocks": f"{done}/{total}"}
        if self.before is None:  # what was done before took no time
            self.before = done
            self._bar.reset(self._task, total=self._nbytes, **shown)
        else:
            self._bar.update(self._task, **shown)


@contextmanager
def _progress(array: Array, out: Path) -> Iterator[_Shown]:
    from rich.console import Console
    from rich.logging import RichHandler
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[blocks]} blocks"),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    ]
    log = logging.getLogger("dacapo_like.materialize")
    handler = RichHandler(console=console, show_time=False, show_level=False, show_path=False)
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"{array.describe()} -> {out}", total=None, blocks="")
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        try:
            yield _Shown(bar, task, math.prod(array.shape) * array.dtype.itemsize)
        finally:
            log.removeHandler(handler)


def _options(texts: tuple[str, ...], chunks: str | None) -> dict[str, Any]:
    """Read KEY=VALUE."""
    from dacapo_like.config.document import parse_document

    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (equals and key.isidentifier()):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE")
        if key in options or key in _OF_THE_COMMAND:
            raise click.BadParameter(f"{key!r} is given elsewhere")
        options[key] = parse_document(value).data
    if chunks is not None:
        if "chunks" in options:
            raise click.BadParameter("'chunks' is given elsewhere")
        options["chunks"] = _numbers(chunks)
    return options


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no list of integers such as 1,64,64,64") from error
