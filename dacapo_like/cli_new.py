"""``dacapo-like new``: documents to start with."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dacapo_like.errors import InvalidDocumentError

_PATH = click.Path(path_type=Path)
_OUT = click.option(
    "--out", type=_PATH, help="The document to write; by default named after what is described."
)
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace a document that is there already.")  # fmt: skip


@click.group()
def new() -> None:
    """Draft a document from what there is on disk: a commented one, to be checked and completed."""


@new.command()
@click.argument("file")
@_OUT
@click.option("--store", metavar="URL", help="Keep the arrays in this store instead.")
@click.option("--name", help="With --store: of the array there; by default that of the draft.")
@_OVERWRITE
def array(
    file: str, out: Path | None, store: str | None, name: str | None, *, overwrite: bool
) -> None:
    """Describe the arrays of a container: Zarr, N5, HDF5, NIfTI, TIFF, Imaris, CZI, .npy or .npz; several become several."""
    from dacapo_like.drafts.arrays import stem
    from dacapo_like.drafts.documents import check_target, draft_array

    if store is not None:
        if out is not None:
            raise click.UsageError("expected --out or --store")
        _put(file, store, name, overwrite=overwrite)
        return
    if name is not None:
        raise click.UsageError("--name is for an array in a --store")
    target = out or Path(f"{stem(file)}.yaml")
    check_target(target, overwrite=overwrite)
    _write(draft_array(file, target), target, overwrite=overwrite)


@new.command()
@click.argument("folder", required=False, type=_PATH)
@click.option(
    "--from-csv", "table", type=_PATH, help="A table of crops: raw, gt, mask, split, name, weight."
)
@_OUT
@_OVERWRITE
def experiment(
    folder: Path | None, table: Path | None, out: Path | None, *, overwrite: bool
) -> None:
    """Propose an experiment from a FOLDER of containers, or make one of a table of crops."""
    from dacapo_like.config.findings import format_problems, summary
    from dacapo_like.drafts.crops import crops_of_csv, crops_of_folder
    from dacapo_like.drafts.documents import check_target, draft_experiment

    if (folder is None) == (table is None):
        raise click.UsageError("expected a FOLDER, or --from-csv with a table")
    made_of = folder or table
    assert made_of is not None  # noqa: S101  # for mypy
    target = out or Path(f"{made_of.absolute().stem}.yaml")
    check_target(target, overwrite=overwrite)
    try:
        drafts, crops = crops_of_folder(made_of) if table is None else crops_of_csv(made_of)
    except InvalidDocumentError as error:
        click.echo(format_problems(error.problems, "text", files=1))
        click.echo(summary(error.problems, files=1))
        sys.exit(1)
    text = draft_experiment(drafts, crops, target, str(made_of))
    _write(text, target, overwrite=overwrite)


def _put(file: str, url: str, name: str | None, *, overwrite: bool) -> None:
    """Keep the arrays of a draft in a store, and say what their file does not say."""
    from dacapo_like.config.document import parse_document
    from dacapo_like.config.loading import load_document, whole
    from dacapo_like.core import ArrayConfig
    from dacapo_like.drafts.arrays import stem
    from dacapo_like.drafts.documents import draft_array
    from dacapo_like.stores import ConfigStore

    store = ConfigStore(url)
    text = draft_array(file, Path("draft.yaml").absolute())
    config = whole(load_document(parse_document(text, directory=Path.cwd())))
    arrays = (
        {name or stem(file): config} if isinstance(config, ArrayConfig) else dict(config.arrays)
    )
    if name not in (None, *arrays):
        raise click.UsageError(
            f"{file} has several arrays, which keep their names: {', '.join(arrays)}"
        )
    for kept in store.put_all(arrays, overwrite=overwrite):
        click.echo(f"wrote {store.place(kept)}")
    for line in text.splitlines():
        if "the file does not say" in line:
            click.echo(line.strip().removeprefix("# "), err=True)


def _write(text: str, out: Path, *, overwrite: bool) -> None:
    from dacapo_like.drafts.documents import schema_beside, write_draft

    write_draft(text, out, overwrite=overwrite)
    click.echo(f"wrote {out}")
    kind = "experiment" if "\narrays:" in text else "array"
    if not schema_beside(out, kind)[1]:  # type: ignore[arg-type]  # one of two
        folder = out.parent / "schemas"
        click.echo(f"for completion in editors: dacapo-like schema --write {folder}")
