"""Sources that show what an operator reads."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import attrs
import pytest

import dacapo_like
from dacapo_like.core import Reader, SourceConfig
from dacapo_like.errors import ReadError
from dacapo_like.geometry import Box


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WatchedArrayConfig(SourceConfig):
    """An array in memory that notes every box which is read; two of one `key` are equal."""

    key: int
    source: dacapo_like.Array = attrs.field(eq=False)
    boxes: list[Box] = attrs.field(eq=False, factory=list)

    def open(self) -> Reader:
        return _WatchedReader(self)


class _WatchedReader(Reader):
    def __init__(self, config: WatchedArrayConfig) -> None:
        self.config = config
        self.spec = config.source.spec

    def read(self, box, out=None):
        self.config.boxes.append(box)
        return self.config.source.read_box(box, out=out)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class UnreadableArrayConfig(SourceConfig):
    """A source that opens, but whose voxels cannot be read."""

    spec: dacapo_like.ArraySpec = attrs.field(eq=False)

    def open(self) -> Reader:
        return _UnreadableReader(self.spec)


class _UnreadableReader(Reader):
    def __init__(self, spec) -> None:
        self.spec = spec

    def read(self, box, out=None):
        raise ReadError("the disk is gone", where=str(box))


@pytest.fixture
def watched() -> Callable[[dacapo_like.Array], WatchedArrayConfig]:
    """Give a function that puts an array in memory behind a source which notes what is read."""
    keys = count()
    return lambda array: WatchedArrayConfig(key=next(keys), source=array)


@pytest.fixture
def unreadable() -> Callable[[dacapo_like.ArraySpec], dacapo_like.Array]:
    """Give a function that makes an array whose voxels cannot be read."""
    return lambda spec: UnreadableArrayConfig(spec=spec).array()
