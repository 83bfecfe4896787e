"""Rewrite a document, DaCapo's too, in the short spelling."""

from __future__ import annotations

from pathlib import Path

from dacapo_like.config.document import format_of
from dacapo_like.config.loading import dump, load_config
from dacapo_like.errors import DocumentError
from dacapo_like.replacing import replace_file


def convert(old: str | Path, new: str | Path, *, overwrite: bool = False) -> None:
    """Write what a document says into another one, in the short spelling; comments are not kept.

    Parameters
    ----------
    old : path
        The document to read.
    new : path
        The document to write; its suffix tells the format. File names below its folder become relative to it, all
        others absolute: they keep naming the same files. It appears when it is complete, or not at all.
    overwrite : bool
        Replace a document that is there already.

    Raises
    ------
    DocumentError
        The old one cannot be read, or the new one is there already or cannot be written.
    InvalidDocumentError
        The old one has problems; all of them are in ``problems``.
    """
    target = Path(new).absolute()
    form = format_of(target)
    if target.exists() and not overwrite:
        raise DocumentError(
            "there is a document already",
            where=str(new),
            hint="overwrite=True (--overwrite) replaces it",
        )
    text = dump(load_config(old), form, relative_to=target.parent)
    try:
        replace_file(target, text)
    except OSError as error:
        raise DocumentError(
            f"the document cannot be written: {error.strerror}", where=str(new)
        ) from error
