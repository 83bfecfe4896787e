"""What is done with every input, and what must be true of it: our errors only, soon, and no file touched.

An input is a byte that tells the format, and a document. Lines ``#set KEY=VALUE`` in it are overrides of it, too.
"""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

import dacapo_like
from dacapo_like.config.document import Format, _decode, parse_document
from dacapo_like.config.loading import Loaded, document_of, dump, load_document
from dacapo_like.config.respelling import respelled
from dacapo_like.core import ArrayConfig
from dacapo_like.errors import DacapoLikeError, DocumentError, Problem
from dacapo_like.experiment import ExperimentConfig
from dacapo_like.sources.dummy import DummyArrayConfig

FORMATS: tuple[Format, ...] = ("yaml", "toml", "json")
NOWHERE = Path("/nowhere/at/all")
"""Where the documents stand: relative names lead to no file, and no project is above."""
SECONDS = 1.0
"""Of the processor's time that an input may take."""
LONGEST = 2**16
"""Bytes of an input: larger ones are tests of their own."""

_OVERRIDE = re.compile(r"^#set (.*)$", re.MULTILINE)
_CODE = re.compile(r"DL\d{3}")
_TOUCHING = ("open", "os.", "socket.", "subprocess.", "shutil.", "tempfile.", "urllib.", "ctypes.dlopen", "glob.", "pty.", "sqlite3.", "http.")  # fmt: skip
_OF_PYTHON = tuple(
    {str(Path(path).resolve()) for path in sysconfig.get_paths().values()}
    | {sys.base_prefix, str(Path(dacapo_like.__file__).parent)}
)


class _SlowError(BaseException):
    """An input takes too long; no handler of errors may catch it."""


class _WrongError(Exception):
    """What should have been true was not."""


@attrs.define
class _Watch:
    """Hears of everything that this process touches, while it is told to listen."""

    thread: int | None = None
    touched: list[str] = attrs.field(factory=list)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.thread != threading.get_ident() or not event.startswith(_TOUCHING):
            return
        name = str(arguments[0]) if arguments else ""
        if (
            event == "open"
            and name.startswith(_OF_PYTHON)
            and name.endswith((".py", ".pyc", ".so"))
        ):
            return  # an import
        if event == "os.listdir" and name.startswith(_OF_PYTHON):
            return  # of what may be imported
        self.touched.append(f"{event} {name[:100]!r}")


_watch = _Watch()
_installed: list[_Watch] = []


def _too_slow(*_: object) -> None:
    raise _SlowError


@contextlib.contextmanager
def _observed() -> Iterator[None]:
    if not _installed:  # a hook is never taken out again
        sys.addaudithook(_watch)
        _installed.append(_watch)
    before = signal.signal(signal.SIGPROF, _too_slow)
    _watch.touched.clear()
    _watch.thread = threading.get_ident()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        _watch.thread = None
        signal.signal(signal.SIGPROF, before)


def fault_of(data: bytes) -> str | None:
    """Say what is wrong with how an input was dealt with; ``None`` where nothing is."""
    return _fault(lambda: examine(data))


def fault_of_mapping(data: Mapping[str, Any], overrides: Mapping[str, Any]) -> str | None:
    """Say the same of a mapping of Python's objects, and overrides of it."""
    return _fault(lambda: _judge(load_document(document_of(data), overrides), placed=False))


def _fault(call: Any) -> str | None:
    started = time.thread_time()
    try:
        with _observed():
            call()
    except _SlowError as error:
        return f"takes over {SECONDS:g} s, at {_innermost(error)}"
    except DacapoLikeError as error:
        fault = _fault_of_error(error)
    except Exception as error:  # noqa: BLE001  # that is what is looked for
        return f"{type(error).__name__} at {_innermost(error)}: {str(error)[:200]}"
    else:
        fault = None
    took = time.thread_time() - started
    if took > SECONDS:
        return f"takes {took:.1f} s"
    return f"touches {_watch.touched[0]}" if _watch.touched else fault


def _innermost(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "dacapo_like" in Path(frame.filename).parts] or frames
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"


def _fault_of_error(error: DacapoLikeError) -> str | None:
    if not _CODE.fullmatch(error.code) or not error.what or len(str(error)) > 50_000:
        return f"an error that says too little or too much: {error!r:.200}"
    return None


def examine(data: bytes) -> None:
    """Read, override, structure, write in every way, and open what needs no file."""
    form = FORMATS[data[0] % 3] if data else "yaml"
    text = _decode(data[1 : LONGEST + 1])
    try:
        document = parse_document(text, format=form, directory=NOWHERE)
    except DocumentError as error:
        if error.line is None and error.code != "DL002":
            raise _WrongError(f"an error without a place: {error}") from error
        raise
    loaded = load_document(document, _OVERRIDE.findall(text)[:4])
    _judge(loaded, placed=True)
    if loaded.config is not None and not loaded.problems:
        _judge_config(loaded.config, FORMATS[len(text) % 3])
        _judge_respelling(loaded)


def _judge(loaded: Loaded, *, placed: bool) -> None:
    if loaded.config is None and not loaded.problems:
        raise _WrongError("neither a config nor a problem")
    for problem in loaded.problems:
        _judge_problem(problem, placed=placed)


def _judge_problem(problem: Problem, *, placed: bool) -> None:
    text = str(problem)
    if not _CODE.fullmatch(problem.code) or not problem.message:
        raise _WrongError(f"a problem that says nothing: {problem!r}")
    if len(text) > 50_000:
        raise _WrongError(f"a problem of {len(text)} characters: {text[:200]}")
    if placed and problem.line is None and problem.path != "override":
        raise _WrongError(f"a problem without a place: {text[:200]}")


def _judge_config(config: ArrayConfig | ExperimentConfig, form: Format) -> None:
    """See that it hashes, shows itself, survives being written and read, and opens or says why not."""
    hash(config)
    repr(config)
    try:
        text = dump(config, form)
    except DocumentError:  # of what a format has not
        pass
    else:
        again = load_document(parse_document(text, format=form, directory=NOWHERE))
        if again.config != config:
            raise _WrongError(f"is another one when read again: {again.problems[:1]}")
    arrays = [config] if isinstance(config, ArrayConfig) else list(config.arrays.values())
    for array in arrays:
        if _needs_no_file(array):
            with contextlib.suppress(DacapoLikeError):
                repr(array.array().spec)


def _needs_no_file(config: ArrayConfig) -> bool:
    stack = [config]
    while stack:
        found = stack.pop()
        below = [child for _, child in found.children()]
        if not below and not isinstance(found, DummyArrayConfig):
            return False
        stack += below
    return True


def _judge_respelling(loaded: Loaded) -> None:
    document = loaded.document
    try:
        text = respelled(document)
    except DocumentError:  # it says that it cannot
        return
    if document.text is not None and text != document.text:
        parse_document(text, format="yaml", directory=NOWHERE)
