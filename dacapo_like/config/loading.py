"""From a document to configs: `load`, and `dump` back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from dacapo_like.config._tree import check_plain
from dacapo_like.config.converter import Finding, Library, Structuring, structure
from dacapo_like.config.dacapo import spelled_key
from dacapo_like.config.dataset import ExperimentConfig
from dacapo_like.config.datasplits import as_experiment
from dacapo_like.config.document import Document, read_document, write_document
from dacapo_like.config.overrides import Overrides, override
from dacapo_like.config.parameters import escaped, resolve_parameters
from dacapo_like.config.unstructuring import unstructure
from dacapo_like.core import ArrayConfig
from dacapo_like.errors import (
    DacapoLikeError,
    DocumentError,
    InvalidDocumentError,
    Problem,
    Severity,
    SourceError,
    format_key,
)


@attrs.frozen(eq=False)
class Loaded:
    """A document, and what could be made of it.

    Attributes
    ----------
    document : Document
        Data with positions.
    config : ArrayConfig or ExperimentConfig or None
        ``None`` where there were errors.
    structuring : Structuring
        The configs of all parts that had none.
    problems : list of Problem
        Of the document and its structure.
    """

    document: Document
    config: ArrayConfig | ExperimentConfig | None
    structuring: Structuring
    problems: list[Problem]

    def problem(self, finding: Finding, severity: Severity = "error") -> Problem:
        """Put a finding at its place in the document."""
        key = spelled_key(self.document.data, finding.key)
        error = finding.error
        return Problem(
            **self.document.place(key, of_key=finding.of_key),
            key=format_key(self.document.written(key)),
            code=error.code,
            severity=severity,
            message=full_message(error),
            hint=error.hint,
        )

    def references(self) -> dict[ArrayConfig, str]:
        """Give those arrays of the store that the document itself, which has no problems, refers to, and their names."""
        borrowed = self.structuring.borrowed
        return {borrowed[name]: name for name in self.structuring.references}


def full_message(error: DacapoLikeError) -> str:
    """Give the message of an error; where it is about a file, with the file."""
    return (
        f"{error.where}: {error.message}"
        if isinstance(error, SourceError) and error.where
        else error.message
    )


def load_document(
    document: Document,
    overrides: Overrides = (),
    *,
    store: Library | None = None,
    stored_as: str | None = None,
) -> Loaded:
    """Structure a document, with overrides and the values of its parameters; its problems are collected, not raised.

    Names of arrays that it does not have are looked up in a store, if there is one; a document that is `stored_as` a name there is
    one array.
    """
    try:
        document = override(document, overrides) if overrides else document
        document = as_experiment(resolve_parameters(document))
    except DocumentError as error:
        problem = Problem(
            path=document.path,
            line=error.line,
            column=error.column,
            code=error.code,
            message=error.message,
            hint=error.hint,
        )
        problems = [*document.problems, problem]
        return Loaded(document, None, Structuring(document.directory), problems)
    config, structuring = structure(
        document.data, document.directory, library=store, stored_as=stored_as
    )
    loaded = Loaded(document, config, structuring, list(document.problems))
    loaded.problems.extend(
        loaded.problem(finding)
        for finding in structuring.findings
        if not _is_of_parameters(document, finding)
    )
    return loaded


def _is_of_parameters(document: Document, finding: Finding) -> bool:
    """Whether all that is wrong is that the value of a parameter cannot be told, which has been said."""
    if not document.unresolved:
        return False
    key = document.written(spelled_key(document.data, finding.key))
    return not finding.of_key and any(
        key[: len(part)] == part or part[: len(key)] == key for part in document.unresolved
    )


def document_of(target: str | Path | Mapping[str, Any]) -> Document:
    """Read a document, or take a mapping as one."""
    if isinstance(target, Mapping):
        check_plain(target)
        return Document(
            data=target,
            path=None,
            directory=Path.cwd(),
            positions={},
            key_positions={},
            problems=(),
        )
    return read_document(target)


def load_config(
    target: str | Path | Mapping[str, Any],
    overrides: Overrides = (),
    *,
    store: Library | None = None,
) -> ArrayConfig | ExperimentConfig:
    """Read the config of a document; names that it does not have are looked up in a store, if there is one.

    Raises
    ------
    DocumentError
        It cannot be read.
    InvalidDocumentError
        It is not what the language says; all problems are in ``problems``.
    """
    return whole(load_document(document_of(target), overrides, store=store))


def whole(loaded: Loaded) -> ArrayConfig | ExperimentConfig:
    """Give the config of a document that has no problems.

    Raises
    ------
    InvalidDocumentError
        It has some; all of them are in ``problems``.
    """
    if loaded.config is None or loaded.problems:
        raise InvalidDocumentError(
            f"{len(loaded.problems)} problem{'s' if len(loaded.problems) != 1 else ''} in the document",
            problems=loaded.problems,
            where=loaded.document.path,
        )
    return loaded.config


def dump(
    config: ArrayConfig | ExperimentConfig,
    format: Literal["yaml", "toml", "json"] = "yaml",  # noqa: A002  # what everybody calls it
    *,
    relative_to: Path | None = None,
) -> str:
    """Write a config as the text of a document: with the values of parameters, and the names of secrets.

    Parameters
    ----------
    config : ArrayConfig or ExperimentConfig
        To be written.
    format : {"yaml", "toml", "json"}
        Of the text.
    relative_to : Path, optional
        File names below this directory are written relative to it.

    Examples
    --------
    >>> from dacapo_like import ZarrArrayConfig
    >>> print(dump(ZarrArrayConfig(file_name="fly.zarr", dataset="em")), end="")
    type: zarr
    file_name: fly.zarr
    dataset: em
    """
    return write_document(escaped(unstructure(config, relative_to=relative_to)), format)
