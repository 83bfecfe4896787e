"""Sources are opened side by side, each once, and what each says is kept."""

from __future__ import annotations

import threading

import attrs
import numpy as np
import pytest

import dacapo_like
from dacapo_like import settings
from dacapo_like.config.opening import Opening, throttled
from dacapo_like.config.verify import verify_all
from dacapo_like.core import Reader, SourceConfig
from dacapo_like.errors import SourceError
from dacapo_like.spec import from_shape


class Empty(Reader):
    def __init__(self):
        self.spec = from_shape((2, 2))

    def read(self, box, out=None):
        return np.zeros(box.shape, "uint8")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Waiting(SourceConfig):
    """A source that opens only when another one is being opened."""

    number: int = 0
    barrier: object = attrs.field(default=None, eq=False)

    def open(self):
        if self.barrier is not None:
            self.barrier.wait(timeout=20)
        if self.number < 0:
            raise SourceError("no such source", where=f"source {self.number}")
        return Empty()


def test_sources_are_opened_side_by_side():
    barrier = threading.Barrier(4)
    configs = [Waiting(number=n, barrier=barrier) for n in range(4)]
    opening = Opening()
    opening.open_sources(configs)
    assert [opening.array(config).config for config in configs] == configs


def test_errors_are_kept_and_progress_is_told():
    configs = [Waiting(number=n) for n in (1, -1, 2, 1)]
    told = []
    opening = Opening()
    opening.open_sources(configs, lambda *what: told.append(what))
    assert [opening.array(config) is not None for config in configs] == [True, False, True, True]
    assert [opening.error(config) is not None for config in configs] == [False, True, False, False]
    assert opening.array(configs[0]) is opening.array(configs[3])
    assert len(opening) == 3
    assert opening.open(configs[1]) is None
    assert told == [("headers", 1, 3), ("headers", 2, 3), ("headers", 3, 3)]


def test_a_fault_of_ours_is_not_swallowed():
    @attrs.frozen(kw_only=True, eq=False, repr=False)
    class Faulty(Waiting):
        def open(self):
            raise KeyError("a fault")

    with pytest.raises(KeyError, match="a fault"):
        Opening().open_sources([Faulty(number=1), Faulty(number=2)])


def test_settings_of_the_caller_hold_in_threads():
    seen = []

    @attrs.frozen(kw_only=True, eq=False, repr=False)
    class Asking(Waiting):
        def open(self):
            seen.append(settings.current().cache_bytes)
            return Empty()

    with dacapo_like.using(cache_bytes=12345):
        Opening().open_sources([Asking(number=1), Asking(number=2)])
    assert seen == [12345, 12345]


def test_progress_is_told_late_and_not_too_often(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    told = []
    tell = throttled(lambda *what: told.append(what), after=1, every=0.5)
    for step in range(9):
        now[0] = step / 4
        tell("headers", step, 9)
    assert [done for _, done, _ in told] == [4, 6, 8]


def test_documents_that_name_the_same_open_it_once(tmp_path, monkeypatch):
    from dacapo_like.sources.npy import NpyArrayConfig

    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    opened = []
    original = NpyArrayConfig.open
    monkeypatch.setattr(NpyArrayConfig, "open", lambda self: opened.append(1) or original(self))
    document = {"type": "npy", "file_name": str(tmp_path / "a.npy")}
    told = []
    found = list(verify_all([document] * 3, progress=lambda *what: told.append(what)))
    assert found == [[], [], []]
    assert len(opened) == 1
    assert told == [("documents", n, 3) for n in (1, 2, 3)]
