"""Dummy: an array of zeros that stands for one which is still to come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.core import Reader, SourceConfig
from dacapo_like.errors import Remark
from dacapo_like.geometry import Box
from dacapo_like.registry import register
from dacapo_like.spec import ArraySpec, from_shape


@register("dummy")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class DummyArrayConfig(SourceConfig):
    """Zeros of shape 100, 50, 50 along z, y and x, as float64. It opens and reads, but a document that holds it is never valid."""

    def open(self) -> Reader:
        """Give a reader of zeros."""
        return _ZerosReader()

    def remarks(self, *inputs: ArraySpec) -> Iterable[Remark]:  # noqa: ARG002  # a source has none
        """Say that it is never valid."""
        yield Remark(
            code="DL215",
            severity="error",
            message="a dummy is never valid",
            hint="put the array here that it stands for",
        )


class _ZerosReader(Reader):
    spec = from_shape((100, 50, 50), "float64", axes="zyx")

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        if out is None:
            return np.zeros(box.shape)
        out[...] = 0
        return out
