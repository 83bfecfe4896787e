"""From a document to configs: `load`, and `dump` back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from dacapo_like.config.converter import Finding, Structuring, structure, unstructure
from dacapo_like.config.dacapo import spelled_key
from dacapo_like.config.dataset import ExperimentConfig
from dacapo_like.config.document import Document, read_document, write_document
from dacapo_like.core import ArrayConfig
from dacapo_like.errors import (
    DacapoLikeError,
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
        position = self.document.position(key, of_key=finding.of_key)
        error = finding.error
        return Problem(
            path=self.document.path,
            line=position.line if position else None,
            column=position.column if position else None,
            key=format_key(key),
            code=error.code,
            severity=severity,
            message=full_message(error),
            hint=error.hint,
        )


def full_message(error: DacapoLikeError) -> str:
    """Give the message of an error; where it is about a file, with the file."""
    return (
        f"{error.where}: {error.message}"
        if isinstance(error, SourceError) and error.where
        else error.message
    )


def load_document(document: Document) -> Loaded:
    """Structure a document; its problems are collected, not raised."""
    config, structuring = structure(document.data, document.directory)
    loaded = Loaded(document, config, structuring, list(document.problems))
    loaded.problems.extend(loaded.problem(finding) for finding in structuring.findings)
    return loaded


def document_of(target: str | Path | Mapping[str, Any]) -> Document:
    """Read a document, or take a mapping as one."""
    if isinstance(target, Mapping):
        return Document(
            data=target,
            path=None,
            directory=Path.cwd(),
            positions={},
            key_positions={},
            problems=(),
        )
    return read_document(target)


def load_config(target: str | Path | Mapping[str, Any]) -> ArrayConfig | ExperimentConfig:
    """Read the config of a document.

    Raises
    ------
    DocumentError
        It cannot be read.
    InvalidDocumentError
        It is not what the language says; all problems are in ``problems``.
    """
    loaded = load_document(document_of(target))
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
    """Write a config as the text of a document.

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
    return write_document(unstructure(config, relative_to=relative_to), format)
