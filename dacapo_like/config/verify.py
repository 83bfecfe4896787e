"""Find every problem of documents: their structure, what headers say, and on request the voxels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from dacapo_like.config.agreement import experiment_findings
from dacapo_like.config.converter import Finding, Library
from dacapo_like.config.dataset import ExperimentConfig
from dacapo_like.config.document import Document
from dacapo_like.config.loading import Loaded, document_of, full_message, load_document
from dacapo_like.config.opening import Opening, Progress
from dacapo_like.config.overrides import Overrides
from dacapo_like.core import ArrayConfig
from dacapo_like.errors import (
    ConfigError,
    DacapoLikeError,
    DocumentError,
    KeyPath,
    Problem,
    Severity,
    SourceError,
    format_key,
)

Target: TypeAlias = "str | Path | Mapping[str, Any] | ArrayConfig | Stored"

_TOGETHER = 64  # documents of which the headers are opened together
_MOST_OPEN = 1000  # configs that are kept for the documents that follow


@attrs.frozen
class Stored:
    """An array of a store, to be verified: what stands in its own document, not what that refers to in the store.

    Attributes
    ----------
    name : str
        In the store.
    store : ConfigStore
        Where it is.
    """

    name: str
    store: Library

    def __str__(self) -> str:
        return self.store.place(self.name)


def verify(
    target: Target,
    *,
    deep: bool = False,
    store: Library | None = None,
    overrides: Overrides = (),
) -> list[Problem]:
    """Find every problem of a document, mapping or config.

    Parameters
    ----------
    target : path, mapping or ArrayConfig
        What to look at.
    deep : bool
        Also read every chunk of every source, and look at the voxels.
    store : ConfigStore, optional
        Where names of arrays are looked up that a document does not have.
    overrides : iterable of str, or mapping
        What stands in a document or mapping instead, as of `load`.

    Returns
    -------
    list of Problem
        In the order of the document; empty where all is well. Only those of severity "error" make it invalid.

    Examples
    --------
    >>> [problem.code for problem in verify({"type": "binarise"})]
    ['DL101']
    """
    return next(verify_all([target], deep=deep, store_of=lambda _: store, overrides=overrides))


def verify_all(
    targets: Sequence[Target],
    *,
    deep: bool = False,
    progress: Progress | None = None,
    store_of: Callable[[Any], Library | None] = lambda _: None,
    overrides: Overrides = (),
) -> Iterator[list[Problem]]:
    """Find every problem of many documents; what several of them name is opened, and read, once for some of them together.

    Parameters
    ----------
    targets : sequence of path, mapping, ArrayConfig or Stored
        What to look at.
    deep : bool
        Also read every chunk of every source, and look at the voxels.
    progress : callable, optional
        Is told what is counted (``documents``, ``headers`` or ``chunks``), how many are done, and of how many.
    store_of : callable
        Gives the store where the names of a document are looked up that it does not have itself, if there is one.
    overrides : iterable of str, or mapping
        Of every document.

    Yields
    ------
    list of Problem
        Of every target, in their order.

    Examples
    --------
    >>> [len(problems) for problems in verify_all([{"type": "binarise"}, {"type": "zarr"}])]
    [1, 1]
    """
    waiting, opening = iter(targets), Opening()
    done = 0
    while group := [
        _subject(target, store_of, overrides) for target in itertools.islice(waiting, _TOGETHER)
    ]:
        if len(opening) > _MOST_OPEN:
            opening = Opening()
        within = progress if len(targets) == 1 else None  # else documents are counted
        sites = [site for subject in group for site in subject.sites]
        opening.open_sources((config for _, config in sites), within)
        for subject in group:
            yield subject.problems(opening, deep=deep, progress=within)
            done += 1
            if progress is not None and len(targets) > 1:
                progress("documents", done, len(targets))


@attrs.define
class _Subject:
    """What is verified: its configs with their places, before anything is opened."""

    path: str | None = None
    loaded: Loaded | None = None
    found: list[Problem] = attrs.field(factory=list)
    sites: list[tuple[KeyPath, ArrayConfig]] = attrs.field(factory=list)

    def problems(self, opening: Opening, *, deep: bool, progress: Progress | None) -> list[Problem]:
        """Open what is not open, and give all problems in their order."""
        judged = _opening_findings(self.sites, opening)
        if deep:
            from dacapo_like.config.survey import deep_findings

            judged = itertools.chain(judged, deep_findings(self.sites, opening, progress))
        if self.loaded is not None and isinstance(self.loaded.config, ExperimentConfig):
            judged = itertools.chain(judged, experiment_findings(self.loaded.config, opening))
        problems = [*self.found, *(self._problem(*item) for item in judged)]
        return sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0))

    def _problem(self, finding: Finding, severity: Severity) -> Problem:
        if self.loaded is not None:
            return self.loaded.problem(finding, severity)
        error = finding.error
        return Problem(
            key=format_key(finding.key),
            code=error.code,
            severity=severity,
            message=full_message(error),
            hint=error.hint,
        )


def _subject(
    target: Target, store_of: Callable[[Any], Library | None], overrides: Overrides
) -> _Subject:
    if isinstance(target, ArrayConfig):
        return _Subject(sites=list(_config_sites(target)))
    stored = target if isinstance(target, Stored) else None
    store = store_of(target) if stored is None else stored.store
    name = None if stored is None else stored.name
    try:
        document = _document(target)
        if document is None:
            return _Subject(found=_nameless(target))
        loaded = load_document(document, overrides, store=store, stored_as=name)
    except DocumentError as error:
        return _Subject(found=[_document_problem(error, target)])
    return _Subject(
        loaded=loaded,
        found=[*loaded.problems, *_hiding(loaded, store)],
        sites=list(
            _sites(loaded.document.data, loaded, () if stored is None else _borrowed(loaded))
        ),
    )


def _document(target: str | Path | Mapping[str, Any] | Stored) -> Document | None:
    return target.store.document(target.name) if isinstance(target, Stored) else document_of(target)


def _nameless(stored: Any) -> list[Problem]:
    """Say that an array of a store cannot be reached by its name, unless somebody has just deleted it."""
    if stored.name not in stored.store.names():
        return []
    message = "not a name for an array of a store"
    return [Problem(path=str(stored), code="DL133", message=message, hint="rename it there")]


def _hiding(loaded: Loaded, store: Library | None) -> Iterator[Problem]:
    """Find arrays of a document that have the name of one in the store, which the document then cannot mean."""
    arrays = loaded.structuring.arrays
    if store is None or not arrays:
        return
    try:
        there = set(store.names())
    except SourceError as error:
        yield loaded.problem(Finding(("arrays",), error))
        return
    for name in arrays:
        if name in there:
            hides = ConfigError(
                f"{name!r} hides an array of the store",
                got=store.place(name),
                hint="in this document the name means its own; rename one of them",
                code="DL431",
            )
            yield loaded.problem(Finding(("arrays", name), hides, of_key=True), "warning")


def _document_problem(error: DocumentError, target: Any) -> Problem:
    return Problem(
        path=None if isinstance(target, Mapping) else str(target),
        line=error.line,
        column=error.column,
        code=error.code,
        message=error.message,
        hint=error.hint,
    )


def _borrowed(loaded: Loaded) -> Iterator[ArrayConfig]:
    """Give every config that stands in a document of the store to which this one leads."""
    for array in loaded.structuring.borrowed.values():
        yield from (config for _, config in _config_sites(array))


def _sites(
    data: Any, loaded: Loaded, known: Iterable[ArrayConfig]
) -> Iterator[tuple[KeyPath, ArrayConfig]]:
    """Give every config that a document names, with its key path; the innermost first, without those that are known.

    Most stand there as mappings. Others are made of a value, such as the displacement field of a transform's file name.
    """
    configs = loaded.structuring.configs
    written = {*configs.values(), *known}
    stack: list[tuple[KeyPath, Any, bool]] = [((), data, False)]
    while stack:
        key, value, below_done = stack.pop()
        if not isinstance(value, (Mapping, list)):
            continue
        if below_done:
            config = configs.get(id(value))
            if config is not None:
                for part, child in config.children():
                    yield from _made_sites(child, (*key, *part), written)
                yield key, config
            continue
        stack.append((key, value, True))
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        stack.extend(((*key, part), item, False) for part, item in reversed(list(items)))
    if isinstance(loaded.config, ExperimentConfig):
        for number, dataset in enumerate(loaded.config.datasets):
            for role, config in dataset.arrays.items():
                yield from _made_sites(config, ("datasets", number, role), written)


def _made_sites(
    config: ArrayConfig, key: KeyPath, known: set[ArrayConfig]
) -> Iterator[tuple[KeyPath, ArrayConfig]]:
    """Give a config that stands in no document, or in that of the store, and those below it, where it is first named."""
    if config not in known:
        known.add(config)
        for _, child in config.children():
            yield from _made_sites(child, key, known)
        yield key, config


def _config_sites(config: ArrayConfig, key: KeyPath = ()) -> Iterator[tuple[KeyPath, ArrayConfig]]:
    for part, child in config.children():
        yield from _config_sites(child, (*key, *part))
    yield key, config


def _opening_findings(
    sites: Iterable[tuple[KeyPath, ArrayConfig]], opening: Opening
) -> Iterator[tuple[Finding, Severity]]:
    for key, config in sites:
        array = opening.open(config)
        if array is None:
            error = opening.error(config)
            if error is not None:
                yield Finding((*key, *error.key), error), "error"
            continue
        for remark in opening.remarks(config):
            said = DacapoLikeError(remark.message, hint=remark.hint, code=remark.code)
            yield Finding((*key, *remark.key), said), remark.severity


def has_errors(problems: list[Problem], *, strict: bool = False) -> bool:
    """Whether there are errors, or with `strict` any problems."""
    return any(strict or problem.severity == "error" for problem in problems)
