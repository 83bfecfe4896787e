"""Samples for training: which patch it is follows from seed, epoch and index, and from nothing that happened before."""

from __future__ import annotations

import bisect
import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import attrs
from numpy.typing import NDArray

from dacapo_like.core import Array
from dacapo_like.engine import ahead
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.geometry import exact
from dacapo_like.patches._draws import Draws, check_word, key_of, shuffled
from dacapo_like.patches._strategies import (
    Balanced,
    Centers,
    Strategy,
    Stratified,
    Uniform,
    Weighted,
)
from dacapo_like.patches.extract import PatchPad
from dacapo_like.patches.grid import Patch
from dacapo_like.patches.together import Together, Units

Voxels = dict[str, NDArray[Any]]


class Sample(NamedTuple):
    """One patch of several arrays.

    Attributes
    ----------
    arrays : dict of str to ndarray
        The voxels of each array, its context included.
    patch : Patch
        Where it is, without the context: its boxes count voxels of the array that patches are given in, and its index is that of
        the sample in its epoch.
    source : int
        Which of several sources it is from.
    """

    arrays: Voxels
    patch: Patch
    source: int


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


@attrs.frozen
class Rejection:
    """A sample is taken only where a predicate says so; else another one is drawn in its place.

    Parameters
    ----------
    accept : callable
        Takes a dict of ndarrays. To go to other processes it has to pickle: a function of a module does.
    of : str or sequence of str, optional
        Names of the arrays that it looks at; nothing else is read of patches that are rejected. By default all.
    tries : int
        Patches that are looked at before that is an error.
    """

    accept: Callable[[Voxels], bool]
    of: tuple[str, ...] | None = attrs.field(
        default=None, converter=attrs.converters.optional(_names)
    )
    tries: int = 100


class PatchSampler:
    """Draws patches from arrays, or from any of several such sets of arrays.

    The patch of (seed, epoch, index) is always the same: whatever was drawn before, by however many workers, on any platform. A
    sampler holds no state and pickles; workers open the arrays again.

    Parameters
    ----------
    arrays : mapping of str to Array, or sequence of such mappings
        What is read of a patch, by name; several of them are sources of the same names, whose patches have the same shapes.
    patch : number or sequence
        Size of a patch without context, per spatial axis.
    strategy : Uniform, Weighted, Balanced, Stratified or Centers
        Where patches are taken; by default anywhere.
    seed : int
        Any.
    samples : int, optional
        In an epoch; by default one for each cell or centre, and of strategies without these an epoch has no end.
    weights : sequence of numbers, optional
        How often each source is drawn, relative to the others. By default each is as likely as the others; of cells and centres
        each of all sources is drawn once. With weights the source is drawn first, and then any of its cells or centres.
    rejection : Rejection, optional
        What else a patch has to fulfil. In the place of one that is rejected any other is drawn.
    of, context, units, pad : optional
        As `Together` takes them, for every source.

    Attributes
    ----------
    sources : tuple of Together
        The arrays of each source.
    samples : int or None
        In an epoch.

    Raises
    ------
    SpecError
        The arrays of a source do not fit together, or sources do not fit each other.
    ConfigError
        A number or name is not one that is allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from dacapo_like import from_numpy
    >>> raw = from_numpy(np.arange(100), axes="x", voxel_size=[4], units="nm")
    >>> gt = from_numpy(np.arange(50), axes="x", voxel_size=[8], units="nm")
    >>> sampler = PatchSampler({"raw": raw, "gt": gt}, 4, context=1, samples=1000)
    >>> sample = sampler.at(epoch=0, index=12)
    >>> sample.patch.box.shape, {name: data.shape for name, data in sample.arrays.items()}
    ((4,), {'raw': (6,), 'gt': (2,)})
    >>> bool(sample.arrays["raw"][1] == 2 * sample.arrays["gt"][0])
    True
    """

    def __init__(
        self,
        arrays: Mapping[str, Array] | Sequence[Mapping[str, Array]],
        patch: Any,
        strategy: Strategy | None = None,
        seed: int = 0,
        *,
        samples: int | None = None,
        weights: Sequence[Any] | None = None,
        rejection: Rejection | None = None,
        of: str | None = None,
        context: Any = 0,
        units: Units = "voxel",
        pad: PatchPad | Mapping[str, PatchPad] = "error",
    ) -> None:
        listed = [arrays] if isinstance(arrays, Mapping) else list(arrays)
        if not listed:
            raise ConfigError("no sources", got=arrays, expected="at least one mapping of arrays")
        self.sources = tuple(
            Together(each, patch, of=of, context=context, units=units, pad=pad) for each in listed
        )
        _check_alike(self.sources)
        self.rejection = rejection
        if rejection is not None:
            _check_rejection(rejection, self.sources[0])
        self._key = key_of(operator.index(seed))
        strategy = Uniform() if strategy is None else strategy
        self._choosers = strategy.choosers(self.sources)
        counts = [chooser.count for chooser in self._choosers]
        self._total = sum(filter(None, counts)) if None not in counts else None
        self._firsts = [0, *itertools.accumulate(n or 0 for n in counts)]
        self._weights = _cumulative(weights, counts)
        if samples is not None and operator.index(samples) < 0:
            raise ConfigError(
                "samples below 0", got=samples, expected="at least 0", key=("samples",)
            )
        self.samples = self._total if samples is None else operator.index(samples)

    def __len__(self) -> int:
        """Give the number of samples in an epoch.

        Raises
        ------
        TypeError
            It has no end.
        """
        if self.samples is None:
            raise TypeError("an epoch of this sampler has no end: pass `samples` to give it one")
        return self.samples

    def at(self, epoch: int, index: int) -> Sample:
        """Read a sample, with one read of each array.

        Parameters
        ----------
        epoch, index : int
            At least 0. An index beyond the end of the epoch is that of a sample, too.

        Raises
        ------
        ConfigError
            A number is negative, or the predicate rejected every patch that was tried.
        ReadError
            An array cannot be read.
        """
        return self.start(epoch, index)()

    def start(self, epoch: int, index: int) -> Callable[[], Sample]:
        """Begin to read a sample; the function that is returned finishes that, and gives what `at` gives."""
        if self.rejection is not None:
            return partial(self._first_accepted, self.rejection, epoch, index)
        source, patch = self.where(epoch, index)
        finish = self.sources[source].start(patch)
        return lambda: Sample(finish(), patch, source)

    def _first_accepted(self, rejection: Rejection, epoch: int, index: int) -> Sample:
        for attempt in range(rejection.tries):
            source, patch = self._drawn(epoch, index, attempt)
            arrays = self._accepted(self.sources[source], patch, rejection)
            if arrays is not None:
                return Sample(arrays, patch, source)
        raise ConfigError(
            "no patch was accepted",
            got=f"{rejection.tries} tries for sample {index} of epoch {epoch}, all rejected",
            expected="a predicate that accepts some of the patches",
            hint="Weighted draws patches where there is something; or allow more `tries`",
        )

    def where(self, epoch: int, index: int) -> tuple[int, Patch]:
        """Give the source and patch of a sample; nothing is read of the arrays, unless patches may be rejected."""
        if self.rejection is None:
            return self._drawn(epoch, index, 0)
        sample = self.at(epoch, index)
        return sample.source, sample.patch

    def epoch(self, epoch: int, *, start: int = 0, step: int = 1) -> Iterator[Sample]:
        """Read the samples of an epoch, one after the other; the next ones are being read meanwhile.

        Parameters
        ----------
        epoch : int
            Which one.
        start, step : int
            To read only every `step`-th sample: worker `start` of `step` workers takes its own, and together they take each once.
        """
        indices: Iterable[int] = itertools.count(start, step)
        if self.samples is not None:
            indices = range(start, self.samples, step)
        return ahead(self.start(epoch, index) for index in indices)

    def _drawn(self, epoch: int, index: int, attempt: int) -> tuple[int, Patch]:
        check_word("epoch", epoch)
        check_word("sample", index)
        draws = Draws(self._key, epoch=epoch, index=index, attempt=attempt)
        if self._weights is not None:
            source = bisect.bisect_right(self._weights, draws.below(self._weights[-1]))
            number = draws.below(self._choosers[source].count or 1)
        else:
            number = self._number(epoch, index, attempt, draws)
            source = bisect.bisect_right(self._firsts, number) - 1
            number -= self._firsts[source]
        place = self._choosers[source].place(number, draws)
        return source, self.sources[source].patch(place, index)

    def _number(self, epoch: int, index: int, attempt: int, draws: Draws) -> int:
        """Give the number of a cell or centre: all of them in a random order, then all again in another."""
        total = self._total
        assert total is not None  # noqa: S101  # without numbers there are weights
        if attempt:
            return draws.below(total)
        turn, number = divmod(index, total)
        return shuffled(number, total, self._key, epoch, turn)

    def _accepted(self, source: Together, patch: Patch, rejection: Rejection) -> Voxels | None:
        """Read a patch, if it is accepted."""
        if rejection.of is None:
            found = source.read(patch)
            return found if rejection.accept(found) else None
        seen = source.read(patch, rejection.of)
        if not rejection.accept(dict(seen)):
            return None
        rest = source.read(patch, set(source.arrays) - set(seen))
        return {name: seen[name] if name in seen else rest[name] for name in source.arrays}


def _check_alike(sources: Sequence[Together]) -> None:
    """Refuse sources whose samples could not be put into one batch."""
    first = _described(sources[0])
    for number, source in enumerate(sources):
        other = _described(source)
        if other != first:
            raise SpecError(
                "sources that give different patches",
                got=f"source {number}: {other}",
                expected=f"{first}, as source 0",
            )


def _described(source: Together) -> dict[str, str]:
    return {
        name: f"{source.arrays[name].dtype.name} {shape}"
        for name, shape in sorted(source.shapes.items())
    }


def _check_rejection(rejection: Rejection, source: Together) -> None:
    unknown = set(rejection.of or ()) - set(source.arrays)
    if unknown:
        raise ConfigError(
            "no array of this name",
            got=", ".join(sorted(unknown)),
            expected=f"some of {', '.join(source.arrays)}",
            key=("rejection", "of"),
        )
    if rejection.tries < 1:
        raise ConfigError(
            "no tries", got=rejection.tries, expected="at least 1", key=("rejection", "tries")
        )


def _cumulative(weights: Sequence[Any] | None, counts: Sequence[int | None]) -> list[int] | None:
    """Give the running sums of the weights of sources, as integers; ``None`` where cells or centres are counted instead."""
    if weights is None:
        if None not in counts:
            if not any(counts):
                raise ConfigError("no patch is left", expected="at least one point inside")
            return None
        weights = (1,) * len(counts)
    numbers = [Fraction(exact(weight)) for weight in weights]
    if len(numbers) != len(counts) or min(numbers) < 0 or not any(numbers):
        raise ConfigError(
            "weights do not fit the sources",
            got=weights,
            expected=f"{len(counts)} numbers of at least 0, some of them above",
            key=("weights",),
        )
    for number, (weight, count) in enumerate(zip(numbers, counts, strict=True)):
        if weight and count == 0:
            raise ConfigError(
                "a source that no patch is left in has a weight",
                got=f"{weight} for source {number}",
                expected="0",
                key=("weights", number),
            )
    parts = math.lcm(*(weight.denominator for weight in numbers))
    return list(itertools.accumulate(int(weight * parts) for weight in numbers))


__all__ = [
    "Balanced",
    "Centers",
    "PatchSampler",
    "Rejection",
    "Sample",
    "Strategy",
    "Stratified",
    "Uniform",
    "Weighted",
]
