"""The command line: parse, call, print."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dacapo_like.cli_materialize import materialize
from dacapo_like.cli_new import new
from dacapo_like.cli_serve import serve, view
from dacapo_like.cli_stores import (
    documents_of,
    store_group,
    store_near,
    store_option,
    targets_of,
    texts_of,
)
from dacapo_like.errors import DacapoLikeError, InvalidDocumentError, Problem

if TYPE_CHECKING:
    from dacapo_like.config.verify import Stored
    from dacapo_like.core import Array
    from dacapo_like.experiment import Experiment

_DOCUMENT = click.Path(path_type=Path)
_PATIENCE = 1.0  # seconds before progress is shown
_OVERRIDES = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY.PATH=VALUE",
    help="Put a value into the document, VALUE as in YAML; may be given many times.",
)


class _Commands(click.Group):
    """Shows our own errors as one message instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DacapoLikeError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dacapo_like")
@click.option(
    "--setting",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a limit, such as read_bytes=8GiB; may be given many times.",
)
def main(changes: tuple[str, ...]) -> None:
    """Describe bioimage arrays in YAML, check them, look at them, write them out."""
    if changes:
        from dacapo_like import settings

        settings.configure(**settings.changes_in(changes))


main.add_command(materialize)
main.add_command(new)
main.add_command(serve)
main.add_command(view)
main.add_command(store_group)


@main.command()
@click.argument("paths", nargs=-1)
@click.option(
    "--deep", is_flag=True, help="Also read every chunk of every source, and look at the voxels."
)
@click.option("--strict", is_flag=True, help="Warnings make a document invalid, too.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
)
@click.option("--watch", is_flag=True, help="Verify again whenever a document changes.")
@store_option
@_OVERRIDES
def verify(
    paths: tuple[str, ...],
    form: Any,
    overrides: tuple[str, ...],
    *,
    deep: bool,
    strict: bool,
    watch: bool,
) -> None:
    """Find every problem of documents, of those in folders, and of all arrays of stores.

    PATHS are files, folders, and URLs of stores. Without any it is the store of --store, else the chosen one. Exit code 0: valid;
    1: problems; 2: wrong usage.
    """
    from dacapo_like.config.verify import has_errors
    from dacapo_like.config.watching import changes

    valid = True
    try:
        for targets in changes(lambda: documents_of(paths)) if watch else [targets_of(paths)]:
            start = time.monotonic()
            problems = _problems_of(targets, overrides, deep=deep)
            valid = not has_errors(problems, strict=strict)  # said even if the rest is interrupted
            _show_problems(problems, form, targets, time.monotonic() - start)
            if watch:
                click.echo("watching; Ctrl-C ends it", err=True)
    except KeyboardInterrupt:
        if not watch:
            raise
    sys.exit(0 if valid else 1)


def _problems_of(
    targets: Sequence[Path | Stored], overrides: tuple[str, ...], *, deep: bool
) -> list[Problem]:
    """Find what is wrong with documents, and arrays of stores."""
    from dacapo_like.config.verify import verify_all

    with _late_progress() as progress:
        found = verify_all(
            targets, deep=deep, progress=progress, store_of=store_near, overrides=overrides
        )
        return [problem for each in found for problem in each]


def _show_problems(
    problems: list[Problem], form: Any, targets: Sequence[Path | Stored], seconds: float
) -> None:
    from dacapo_like.config.findings import format_problems, summary

    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    texts, files = texts_of(targets, problems), len(targets)
    text = format_problems(problems, form, files=files, coloured=coloured, texts=texts)
    if text:
        click.echo(text)
    said = summary(problems, files=files, seconds=seconds)
    click.echo(said, err=form != "text")


@main.command()
@click.argument("path", type=_DOCUMENT)
@click.argument("name", required=False)
@click.option("--png", type=_DOCUMENT, help="Draw the middle slice into this file instead.")
@click.option("--beside", metavar="NAME", help="With --png: draw this array to the left.")
@_OVERRIDES
@store_option
def show(
    path: Path, name: str | None, png: Path | None, beside: str | None, overrides: tuple[str, ...]
) -> None:
    """Show the tree of an array: axes, dtype, voxel size, ROI and units of every node."""
    from rich.console import Console

    from dacapo_like.report import save_slices, tree_of

    arrays = _arrays(path, name, overrides)
    if png is not None:
        chosen = dict(arrays) if beside is None else _arrays(path, beside, overrides) | arrays
        click.echo(f"wrote {save_slices(chosen, png)}")
        return
    console = Console(highlight=False)
    for array in arrays.values():
        console.print(tree_of(array))


@main.command()
@click.argument("path", type=_DOCUMENT)
@click.argument("name", required=False)
@click.option("--png", type=_DOCUMENT, help="Draw the patches NAME over a slice instead.")
@_OVERRIDES
@store_option
def patches(path: Path, name: str | None, png: Path | None, overrides: tuple[str, ...]) -> None:
    """Count the patches of an experiment: how many, what they cover, how many bytes they are."""
    from rich.console import Console

    from dacapo_like.experiment import Experiment, load
    from dacapo_like.patch_report import patches_table, save_patches

    experiment = load(path, overrides=overrides, store=store_near(path))
    if not isinstance(experiment, Experiment):
        raise click.UsageError("one array has no patches: name a document with `patches`")
    if png is None:
        Console(highlight=False).print(patches_table(experiment))
        return
    known = list(experiment.config.patches)
    chosen = name or (known[0] if len(known) == 1 else None)
    if chosen is None:
        raise click.UsageError(f"which patches to draw: one of {', '.join(known)}")
    click.echo(f"wrote {save_patches(experiment, chosen, png)}")


@main.command(name="list")
@click.argument("path", type=_DOCUMENT)
@_OVERRIDES
@store_option
def list_arrays(path: Path, overrides: tuple[str, ...]) -> None:
    """List the arrays of a document by name, with their types. No data is opened."""
    from dacapo_like.core import ArrayConfig
    from dacapo_like.experiment import load

    loaded = load(path, overrides=overrides, store=store_near(path))
    configs: Mapping[str, ArrayConfig] = (
        {loaded.name or "(unnamed)": loaded}
        if isinstance(loaded, ArrayConfig)
        else loaded.config.arrays
    )
    width = max(map(len, configs), default=0)
    for name, config in configs.items():
        click.echo(f"{name:<{width}}  {config.tag}")


@main.command()
@click.argument("old", type=_DOCUMENT)
@click.argument("new", type=_DOCUMENT, required=False)
@click.option("--overwrite", is_flag=True, help="Replace a document that is there already.")
@click.option("--in-place", is_flag=True, help="Respell OLD itself; comments stay.")
@store_option
def convert(old: Path, new: Path | None, *, overwrite: bool, in_place: bool) -> None:
    """Rewrite a document, DaCapo's too, in the short spelling: YAML, TOML or JSON by NEW's suffix."""
    from dacapo_like.config.convert import convert as rewrite
    from dacapo_like.config.convert import convert_in_place
    from dacapo_like.config.findings import format_problems, summary

    if (new is None) != in_place:
        raise click.UsageError("expected OLD and NEW, or OLD with --in-place")
    try:
        if new is not None:
            rewrite(old, new, overwrite=overwrite, store=store_near(old))
        elif not convert_in_place(old, store=store_near(old)):
            click.echo(f"{old} is in the short spelling already")
            return
    except InvalidDocumentError as error:
        click.echo(format_problems(error.problems, "text", files=1))
        click.echo(summary(error.problems, files=1))
        sys.exit(1)
    click.echo(f"wrote {new or old}")


@main.command()
@click.option("--write", "directory", type=_DOCUMENT, help="Write all schemas into this directory.")
@click.option(
    "--check", "checked", type=_DOCUMENT, help="Fail where the schemas of this directory are stale."
)
@click.option(
    "--experiment",
    "document",
    flag_value="experiment",
    help="Of experiments rather than of one array.",
)
def schema(directory: Path | None, checked: Path | None, document: str | None) -> None:
    """Print the JSON Schema of documents, or keep the files of all schemas fresh."""
    import json

    from dacapo_like.config.schema import schema_of, stale_schemas, write_schemas

    if checked is not None:
        stale = stale_schemas(checked)
        click.echo("\n".join(f"stale: {name}" for name in stale) or "all schemas are fresh")
        sys.exit(1 if stale else 0)
    if directory is not None:
        for path in write_schemas(directory):
            click.echo(f"wrote {path}")
        return
    click.echo(json.dumps(schema_of("experiment" if document else "array"), indent=2))


def _arrays(path: Path, name: str | None, overrides: tuple[str, ...]) -> dict[str, Array]:
    """Open one array of a document, or all of them."""
    from dacapo_like.core import ArrayConfig
    from dacapo_like.experiment import load, open_array

    loaded: ArrayConfig | Experiment = load(path, overrides=overrides, store=store_near(path))
    if name is not None or isinstance(loaded, ArrayConfig):
        array = open_array(loaded, name)
        return {name or array.name or path.stem: array}
    return dict(loaded.arrays)


@contextmanager
def _late_progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """Give what shows a progress bar on standard error, from the second on, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    from dacapo_like.config.opening import throttled

    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task("", total=None)

    def show(what: str, done: int, total: int) -> None:
        bar.start()
        bar.update(task, description=what, completed=done, total=total)

    try:
        yield throttled(show, after=_PATIENCE)
    finally:
        bar.stop()
