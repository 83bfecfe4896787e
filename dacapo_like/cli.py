"""The command line: parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dacapo_like.errors import DacapoLikeError, InvalidDocumentError, Problem

if TYPE_CHECKING:
    from dacapo_like.core import Array
    from dacapo_like.experiment import Experiment

_DOCUMENT = click.Path(path_type=Path)
_OF_THE_COMMAND = frozenset({"overwrite", "progress"})


class _Commands(click.Group):
    """Shows our own errors as one message instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DacapoLikeError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dacapo_like")
def main() -> None:
    """Describe bioimage arrays in YAML, check them, look at them, write them out."""


@main.command()
@click.argument("paths", nargs=-1, required=True, type=_DOCUMENT)
@click.option("--deep", is_flag=True, help="Also read every chunk of every source.")
@click.option("--strict", is_flag=True, help="Warnings make a document invalid, too.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
)
def verify(paths: tuple[Path, ...], form: Any, *, deep: bool, strict: bool) -> None:
    """Find every problem of documents. Exit code 0: valid; 1: problems; 2: wrong usage."""
    from dacapo_like.config.findings import format_problems
    from dacapo_like.config.verify import has_errors
    from dacapo_like.config.verify import verify as find_problems

    problems: list[Problem] = []
    for path in paths:
        problems.extend(find_problems(path, deep=deep))
    click.echo(format_problems(problems, form, files=len(paths)))
    sys.exit(1 if has_errors(problems, strict=strict) else 0)


@main.command()
@click.argument("path", type=_DOCUMENT)
@click.argument("name", required=False)
@click.option("--png", type=_DOCUMENT, help="Draw the middle slice into this file instead.")
@click.option("--beside", metavar="NAME", help="With --png: draw this array to the left.")
def show(path: Path, name: str | None, png: Path | None, beside: str | None) -> None:
    """Show the tree of an array: axes, dtype, voxel size, ROI and units of every node."""
    from rich.console import Console

    from dacapo_like.report import save_slices, tree_of

    arrays = _arrays(path, name)
    if png is not None:
        chosen = dict(arrays) if beside is None else _arrays(path, beside) | arrays
        click.echo(f"wrote {save_slices(chosen, png)}")
        return
    console = Console(highlight=False)
    for array in arrays.values():
        console.print(tree_of(array))


@main.command()
@click.argument("path", type=_DOCUMENT)
@click.argument("name", required=False)
@click.option("--png", type=_DOCUMENT, help="Draw the patches NAME over a slice instead.")
def patches(path: Path, name: str | None, png: Path | None) -> None:
    """Count the patches of an experiment: how many, what they cover, how many bytes they are."""
    from rich.console import Console

    from dacapo_like.experiment import Experiment, load
    from dacapo_like.patch_report import patches_table, save_patches

    experiment = load(path)
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
def list_arrays(path: Path) -> None:
    """List the arrays of a document by name, with their types. No data is opened."""
    from dacapo_like.core import ArrayConfig
    from dacapo_like.experiment import load

    loaded = load(path)
    configs: Mapping[str, ArrayConfig] = (
        {loaded.name or "(unnamed)": loaded}
        if isinstance(loaded, ArrayConfig)
        else loaded.config.arrays
    )
    width = max(map(len, configs), default=0)
    for name, config in configs.items():
        click.echo(f"{name:<{width}}  {config.tag}")


@main.command()
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
def materialize(
    path: Path,
    name: tuple[str, ...],
    out: Path,
    chunks: str | None,
    settings: tuple[str, ...],
    *,
    overwrite: bool,
) -> None:
    """Write an array of a document in the format that OUT's suffix names: PATH [NAME] OUT."""
    from dacapo_like.materialize import materialize as write

    if len(name) > 1:
        raise click.UsageError(f"expected PATH [NAME] OUT, got {len(name) + 2} arguments")
    options = _settings(settings)
    if chunks is not None:
        if "chunks" in options:
            raise click.BadParameter("'chunks' is given elsewhere")
        options["chunks"] = _numbers(chunks)
    array = _open(path, name[0] if name else None)
    with _progress_bar() as progress:
        task = progress.add_task(f"{array.describe()} -> {out}", total=None)
        write(
            array,
            out,
            overwrite=overwrite,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
            **options,
        )
    click.echo(f"wrote {out}: {array.dtype.name} {array.shape}")


@main.command()
@click.argument("old", type=_DOCUMENT)
@click.argument("new", type=_DOCUMENT)
@click.option("--overwrite", is_flag=True, help="Replace a document that is there already.")
def convert(old: Path, new: Path, *, overwrite: bool) -> None:
    """Rewrite a document, DaCapo's too, in the short spelling: YAML, TOML or JSON by NEW's suffix."""
    from dacapo_like.config.convert import convert as rewrite
    from dacapo_like.config.findings import format_problems

    try:
        rewrite(old, new, overwrite=overwrite)
    except InvalidDocumentError as error:
        click.echo(format_problems(error.problems, "text", files=1))
        sys.exit(1)
    click.echo(f"wrote {new}")


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


def _arrays(path: Path, name: str | None) -> dict[str, Array]:
    """Open one array of a document, or all of them."""
    from dacapo_like.core import ArrayConfig
    from dacapo_like.experiment import load, open_array

    loaded: ArrayConfig | Experiment = load(path)
    if name is not None or isinstance(loaded, ArrayConfig):
        array = open_array(loaded, name)
        return {name or array.name or path.stem: array}
    return dict(loaded.arrays)


def _open(path: Path, name: str | None) -> Array:
    from dacapo_like.experiment import open_array

    return open_array(path, name)


def _settings(texts: tuple[str, ...]) -> dict[str, Any]:
    """Read KEY=VALUE."""
    from dacapo_like.config.document import parse_document

    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (equals and key.isidentifier()):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE")
        if key in settings or key in _OF_THE_COMMAND:
            raise click.BadParameter(f"{key!r} is given elsewhere")
        settings[key] = parse_document(value).data
    return settings


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no list of integers such as 1,64,64,64") from error


def _progress_bar() -> Any:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )
