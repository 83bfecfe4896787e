"""Rewrite a document, DaCapo's too, in the short spelling."""

from __future__ import annotations

from pathlib import Path

from dacapo_like.config.converter import Library
from dacapo_like.config.document import format_of, parse_document, write_document
from dacapo_like.config.loading import document_of, dump, load_document, whole
from dacapo_like.config.parameters import escaped
from dacapo_like.config.respelling import respelled
from dacapo_like.config.unstructuring import unstructure
from dacapo_like.errors import DocumentError
from dacapo_like.replacing import replace_file


def convert(
    old: str | Path, new: str | Path, *, overwrite: bool = False, store: Library | None = None
) -> None:
    """Write what a document says into another one, in the short spelling; comments are not kept, references by name are.

    Parameters
    ----------
    old : path
        The document to read.
    new : path
        The document to write; its suffix tells the format. File names below its folder become relative to it, all
        others absolute: they keep naming the same files. It appears when it is complete, or not at all.
    overwrite : bool
        Replace a document that is there already.
    store : ConfigStore, optional
        Where names of arrays are looked up that the document does not have.

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
    loaded = load_document(document_of(old), store=store)
    config = whole(loaded)
    data = unstructure(config, relative_to=target.parent, names=loaded.references())
    text = write_document(escaped(data), form)
    try:
        replace_file(target, text)
    except OSError as error:
        raise DocumentError(
            f"the document cannot be written: {error.strerror}", where=str(new)
        ) from error


def convert_in_place(path: str | Path, *, store: Library | None = None) -> bool:
    """Put the short spelling into a document itself: only keys, types and numbers change, and nothing around them.

    Parameters
    ----------
    path : path
        The document. It is replaced when the new one is complete and has been read back as the same configs.
    store : ConfigStore, optional
        Where names of arrays are looked up that the document does not have.

    Returns
    -------
    bool
        Whether anything was to be changed.

    Raises
    ------
    DocumentError
        It cannot be read, respelled or written.
    InvalidDocumentError
        It has problems; all of them are in ``problems``.
    """
    target, document = Path(path).absolute(), document_of(path)
    config = whole(load_document(document, store=store))
    text = respelled(document)
    if text == document.text:
        return False
    read_again = parse_document(text, format=format_of(target), directory=target.parent)
    again = load_document(read_again, store=store).config
    if again is None or dump(again) != dump(config):
        raise DocumentError(
            "the document cannot be respelled where it is",
            where=str(path),
            hint="name a new document, which is written anew, without comments",
        )
    try:
        replace_file(target, text)
    except OSError as error:
        what = f"the document cannot be written: {error.strerror}"
        raise DocumentError(what, where=str(path)) from error
    return True
