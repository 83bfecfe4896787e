"""What becomes of a cell that several patches cover: their data come in the order of the patches' numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Combine = Literal["mean", "max", "sum", "replace", "vote"]
Weights = NDArray[np.float64]


class Running(ABC):
    """What is known of a cell so far; made of the data of its first patch, and their weights, spatial axes alone.

    Attributes
    ----------
    held : int
        How often each of its voxels is in memory.
    """

    held = 1

    @abstractmethod
    def __init__(self, data: NDArray[Any], weights: Weights) -> None: ...

    @abstractmethod
    def add(self, data: NDArray[Any], weights: Weights) -> None:
        """Take the data of the next patch; they are not kept unless copied."""

    @abstractmethod
    def result(self) -> NDArray[Any]:
        """Give the voxels of the cell."""


class Mean(Running):
    """The weighted mean, as West updates it: where all patches agree it is what they say, bit for bit.

    Double precision. An infinite mean stays so, or becomes NaN.

    References
    ----------
    D. H. D. West, "Updating mean and variance estimates: an improved method", Communications of the ACM 22 (1979).
    """

    def __init__(self, data: NDArray[Any], weights: Weights) -> None:
        self._mean = data.astype(np.float64)
        self._total = weights

    def add(self, data: NDArray[Any], weights: Weights) -> None:
        """Move the mean towards the data."""
        mean = self._mean
        self._total = self._total + weights
        with np.errstate(over="ignore", invalid="ignore"):
            step = np.negative(data, dtype=np.float64)
            np.add(step, mean, out=step, where=np.isfinite(mean))
            step *= weights / self._total
            mean -= step  # in this sense, so that -0.0 stays what it is

    def result(self) -> NDArray[Any]:
        """Give the mean."""
        return self._mean


class Sum(Running):
    """The sum, in double precision."""

    def __init__(self, data: NDArray[Any], weights: Weights) -> None:  # noqa: ARG002  # all count alike
        self._sum = data.astype(np.float64)

    def add(self, data: NDArray[Any], weights: Weights) -> None:  # noqa: ARG002  # all count alike
        """Add."""
        with np.errstate(over="ignore", invalid="ignore"):
            self._sum += data

    def result(self) -> NDArray[Any]:
        """Give the sum."""
        return self._sum


class Max(Running):
    """The greatest value; NaN where there is one."""

    def __init__(self, data: NDArray[Any], weights: Weights) -> None:  # noqa: ARG002  # all count alike
        self._max = data.copy()

    def add(self, data: NDArray[Any], weights: Weights) -> None:  # noqa: ARG002  # all count alike
        """Compare."""
        np.maximum(self._max, data, out=self._max)

    def result(self) -> NDArray[Any]:
        """Give the greatest."""
        return self._max


class Last(Running):
    """What the last patch says."""

    def __init__(self, data: NDArray[Any], weights: Weights) -> None:  # noqa: ARG002  # the last counts
        self._last = data.copy()

    def add(self, data: NDArray[Any], weights: Weights) -> None:  # noqa: ARG002  # the last counts
        """Forget what was there."""
        np.copyto(self._last, data)

    def result(self) -> NDArray[Any]:
        """Give what is there."""
        return self._last


class Vote(Running):
    """The label with the largest total weight, the smallest of several."""

    def __init__(self, data: NDArray[Any], weights: Weights) -> None:
        self._votes = [(data.copy(), weights)]

    def add(self, data: NDArray[Any], weights: Weights) -> None:
        """Keep the labels."""
        self._votes.append((data.copy(), weights))
        self.held = len(self._votes)

    def result(self) -> NDArray[Any]:
        """Count the votes."""
        first = self._votes[0][0]
        winner, most = first.copy(), np.zeros(first.shape)
        for labels, _ in self._votes:
            votes = np.zeros(first.shape)
            for others, weights in self._votes:
                votes += np.where(others == labels, weights, 0)
            wins = (votes > most) | ((votes == most) & (labels < winner))
            np.copyto(winner, labels, where=wins)
            np.copyto(most, votes, where=wins)
        return winner


class Waiting:
    """A cell that waits for patches; those that came before their turn are kept."""

    def __init__(self, combining: type[Running]) -> None:
        self.turn = 0
        self._combining = combining
        self._running: Running | None = None
        self._early: dict[int, tuple[NDArray[Any], NDArray[np.float64]]] = {}

    @property
    def held(self) -> int:
        """How often each voxel is in memory."""
        return len(self._early) + (self._running.held if self._running else 0)

    def add(self, turn: int, data: NDArray[Any], weights: NDArray[np.float64]) -> None:
        """Take the data of the patch whose turn is `turn`."""
        if turn != self.turn:
            self._early[turn] = data.copy(), weights
            return
        self._take(data, weights)
        while self.turn in self._early:
            self._take(*self._early.pop(self.turn))

    def result(self) -> NDArray[Any]:
        """Combine what came."""
        for turn in sorted(self._early):
            self._take(*self._early.pop(turn))
        assert self._running is not None  # noqa: S101  # a cell is made when its first data come
        return self._running.result()

    def _take(self, data: NDArray[Any], weights: NDArray[np.float64]) -> None:
        self.turn += 1
        if self._running is None:
            self._running = self._combining(data, weights)
        else:
            self._running.add(data, weights)


COMBINING: dict[Combine, type[Running]] = {
    "mean": Mean,
    "max": Max,
    "sum": Sum,
    "replace": Last,
    "vote": Vote,
}


def rounded(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Give values in another dtype: in integers rounded half to even and clipped.

    Parameters
    ----------
    values : ndarray
        Without NaN, where the dtype is one of integers or bool.
    dtype : numpy.dtype
        Of the result.

    Examples
    --------
    >>> rounded(np.array([0.5, 1.5, -3.0, 300.0, np.inf]), np.dtype("uint8"))
    array([  0,   2,   0, 255, 255], dtype=uint8)
    """
    if values.dtype == dtype or dtype.kind == "f" or values.dtype.kind == "b":
        with np.errstate(over="ignore"):
            return values.astype(dtype, copy=False)
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if values.dtype.kind != "f":
        own = np.iinfo(values.dtype)
        clipped: NDArray[Any] = values.clip(max(low, own.min), min(high, own.max))
        return clipped.astype(dtype)
    whole = np.rint(values.astype(np.float64, copy=False))
    with np.errstate(invalid="ignore"):  # what is out of range is set below
        result = whole.astype(dtype)
    result[whole <= low] = low
    result[whole >= high] = (
        high  # the limit of 64 bits is no double: what reaches the next one does not fit
    )
    return result
