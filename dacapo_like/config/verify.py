"""Find every problem of a document: its structure, what its headers say, and on request its voxels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from dacapo_like.config.converter import Finding
from dacapo_like.config.dataset import ExperimentConfig
from dacapo_like.config.loading import Loaded, document_of, full_message, load_document
from dacapo_like.core import Array, ArrayConfig, SourceConfig, block_shape, open_node
from dacapo_like.errors import (
    ConfigError,
    DacapoLikeError,
    DocumentError,
    KeyPath,
    Problem,
    ReadError,
    did_you_mean,
    format_key,
)
from dacapo_like.geometry import blocks_of

_MOST_BAD_BLOCKS = 20


@attrs.define
class _Opening:
    """Opens every config of a tree whose inputs open, and keeps what each of the others said."""

    arrays: dict[ArrayConfig, Array] = attrs.field(factory=dict)
    errors: dict[ArrayConfig, DacapoLikeError] = attrs.field(factory=dict)
    blocked: set[ArrayConfig] = attrs.field(factory=set)

    def open(self, config: ArrayConfig) -> Array | None:
        """Open a config, or say nothing where something below it is wrong already."""
        if config in self.arrays:
            return self.arrays[config]
        if config in self.errors or config in self.blocked:
            return None
        inputs = [self.open(child) for _, child in config.children()]
        opened = [array for array in inputs if array is not None]
        if len(opened) < len(inputs):
            self.blocked.add(config)
            return None
        try:
            self.arrays[config] = open_node(config, opened)
        except DacapoLikeError as error:
            self.errors[config] = error
            return None
        return self.arrays[config]


def verify(
    target: str | Path | Mapping[str, Any] | ArrayConfig, *, deep: bool = False
) -> list[Problem]:
    """Find every problem of a document, mapping or config.

    Parameters
    ----------
    target : path, mapping or ArrayConfig
        What to look at.
    deep : bool
        Also read every chunk of every source.

    Returns
    -------
    list of Problem
        In the order of the document; empty where all is well. Only those of severity "error" make it invalid.

    Examples
    --------
    >>> [problem.code for problem in verify({"type": "binarise"})]
    ['DL101']
    """
    if isinstance(target, ArrayConfig):
        return _sorted(_config_problems(target, deep=deep))
    try:
        document = document_of(target)
    except DocumentError as error:
        return [_document_problem(error, target)]
    loaded = load_document(document)
    sites = list(_sites(loaded.document.data, loaded))
    opening = _Opening()
    found = [
        loaded.problem(finding, severity)
        for finding, severity in _opening_findings(sites, opening, deep=deep)
    ]
    problems = [*loaded.problems, *found]
    if isinstance(loaded.config, ExperimentConfig):
        problems += map(loaded.problem, _patch_findings(loaded.config, opening))
    return _sorted(problems)


def _document_problem(error: DocumentError, target: Any) -> Problem:
    return Problem(
        path=str(target),
        line=error.line,
        column=error.column,
        code=error.code,
        message=error.message,
        hint=error.hint,
    )


def _config_problems(config: ArrayConfig, *, deep: bool) -> Iterator[Problem]:
    sites = list(_config_sites(config))
    for finding, severity in _opening_findings(sites, _Opening(), deep=deep):
        error = finding.error
        yield Problem(
            key=format_key(finding.key),
            code=error.code,
            severity=severity,
            message=full_message(error),
            hint=error.hint,
        )


def _sites(data: Any, loaded: Loaded) -> Iterator[tuple[KeyPath, ArrayConfig]]:
    """Give every config that a document names, with its key path; the innermost first.

    Most stand there as mappings. Others are made of a value, such as the displacement field of a transform's file name.
    """
    configs = loaded.structuring.configs
    written = set(configs.values())
    stack: list[tuple[KeyPath, Any, bool]] = [((), data, False)]
    while stack:
        key, value, below_done = stack.pop()
        if not isinstance(value, (Mapping, list)):
            continue
        if below_done:
            config = configs.get(id(value))
            if config is not None:
                made = ((part, child) for part, child in config.children() if child not in written)
                yield from (((*key, *part), child) for part, child in made)
                yield key, config
            continue
        stack.append((key, value, True))
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        stack.extend(((*key, part), item, False) for part, item in reversed(list(items)))


def _config_sites(config: ArrayConfig, key: KeyPath = ()) -> Iterator[tuple[KeyPath, ArrayConfig]]:
    for part, child in config.children():
        yield from _config_sites(child, (*key, *part))
    yield key, config


def _opening_findings(
    sites: list[tuple[KeyPath, ArrayConfig]], opening: _Opening, *, deep: bool
) -> Iterator[tuple[Finding, Any]]:
    read: set[ArrayConfig] = set()
    for key, config in sites:
        array = opening.open(config)
        if array is None:
            if config in opening.errors:
                error = opening.errors[config]
                yield Finding((*key, *error.key), error), "error"
            continue
        for remark in config.remarks(*(item.spec for item in array.inputs)):
            said = DacapoLikeError(remark.message, hint=remark.hint, code=remark.code)
            yield Finding((*key, *remark.key), said), remark.severity
        if deep and isinstance(config, SourceConfig) and config not in read:
            read.add(config)
            yield from ((Finding(key, error), "error") for error in _bad_blocks(array))


def _patch_findings(config: ExperimentConfig, opening: _Opening) -> Iterator[Finding]:
    """Cut the datasets whose arrays open into patches; no voxel is read."""
    for name, patches in config.patches.items():
        datasets = [dataset for dataset in config.datasets if dataset.split == name]
        if not datasets:
            splits = {dataset.split for dataset in config.datasets}
            missing = ConfigError(
                "no dataset of this split",
                got=repr(name),
                expected=f"one of {', '.join(sorted(splits))}" if splits else "datasets",
                hint=did_you_mean(name, splits),
            )
            yield Finding(("patches", name), missing)
        for dataset in datasets:
            arrays = {role: opening.open(part) for role, part in dataset.arrays.items()}
            opened = {role: array for role, array in arrays.items() if array is not None}
            if len(opened) < len(arrays):
                continue
            try:
                source = patches.together(opened)
                if not patches.sampled:
                    patches.grid(source)
            except DacapoLikeError as error:
                error.where = error.where or f"dataset {dataset.name}"
                key = ("shape", *error.key[1:]) if error.key[:1] == ("patch",) else error.key
                yield Finding(("patches", name, *key), error)


def _bad_blocks(array: Array) -> Iterator[DacapoLikeError]:
    """Read all of a source, chunk by chunk, and give what could not be read."""
    bad = 0
    for box in blocks_of(array.shape, block_shape(array.spec)):
        try:
            array.read_box(box)
        except DacapoLikeError as error:
            bad += 1
            if bad <= _MOST_BAD_BLOCKS:
                yield error
    if bad > _MOST_BAD_BLOCKS:
        yield ReadError(
            f"{bad - _MOST_BAD_BLOCKS} more chunks cannot be read", where=array.describe()
        )


def _sorted(problems: Any) -> list[Problem]:
    return sorted(problems, key=lambda p: (p.line or 0, p.column or 0))


def has_errors(problems: list[Problem], *, strict: bool = False) -> bool:
    """Whether there are errors, or with `strict` any problems."""
    return any(strict or problem.severity == "error" for problem in problems)
