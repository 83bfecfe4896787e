"""Whether the arrays of a dataset fit together: they overlap, their grids meet, and patches of them can be cut. No voxel is read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TypeAlias

from dacapo_like.config.converter import Finding
from dacapo_like.config.dataset import DatasetConfig, ExperimentConfig
from dacapo_like.config.opening import Opening
from dacapo_like.core import Array
from dacapo_like.errors import (
    ConfigError,
    DacapoLikeError,
    KeyPath,
    Severity,
    SpecError,
    did_you_mean,
)
from dacapo_like.geometry import format_numbers
from dacapo_like.patches._positions import View, view_of
from dacapo_like.spec import ArraySpec

Judged: TypeAlias = tuple[Finding, Severity]
_Span: TypeAlias = tuple[tuple[Fraction, Fraction], ...]


def experiment_findings(config: ExperimentConfig, opening: Opening) -> Iterator[Judged]:
    """Compare the arrays of every dataset, then cut those that agree into patches.

    Parameters
    ----------
    config : ExperimentConfig
        Of a document whose structure is valid.
    opening : Opening
        Arrays that do not open, or are not valid, have been reported; datasets with one of them are left out.
    """
    fitting: list[tuple[DatasetConfig, dict[str, Array]]] = []
    for number, dataset in enumerate(config.datasets):
        arrays = {role: opening.open(part) for role, part in dataset.arrays.items()}
        opened = {role: array for role, array in arrays.items() if array is not None}
        if len(opened) < len(arrays) or any(map(opening.is_faulty, dataset.arrays.values())):
            continue
        found = list(dataset_findings(opened, ("datasets", number)))
        if not any(severity == "error" for _, severity in found):
            fitting.append((dataset, opened))
        yield from found
    yield from _patch_findings(config, fitting)


def dataset_findings(arrays: Mapping[str, Array], key: KeyPath) -> Iterator[Judged]:
    """Compare the arrays of a dataset with the first of them.

    Parameters
    ----------
    arrays : mapping of str to Array
        By role.
    key : key path
        Of the dataset.
    """
    (first, reference), *others = ((role, array.spec) for role, array in arrays.items())
    spans = {first: _span(reference, None)}
    complete = True
    for role, spec in others:
        place = (*key, role)
        try:
            view = view_of(spec, role, reference, first)
        except SpecError as error:
            error.code = "DL231"
            yield Finding(place, error), "error"
            complete = False
            continue
        spans[role] = _span(spec, view)
        problems = list(_pair_findings((role, spec), (first, reference), view))
        complete &= all(severity == "warning" for _, severity in problems)
        yield from ((Finding(place, error), severity) for error, severity in problems)
    if complete and _empty(*spans.values()):
        yield Finding(key, _no_common_region(arrays)), "error"


def _pair_findings(
    one: tuple[str, ArraySpec], other: tuple[str, ArraySpec], view: View
) -> Iterator[tuple[DacapoLikeError, Severity]]:
    """Compare an array with the one that it is seen from."""
    (role, spec), (first, reference) = one, other
    known = [[unit is not None for unit in each.units] for each in (spec, reference)]
    if known[0] != known[1]:
        what = f"units are known for one of {role} and {first} only"
        got = f"{spec.describe_unit()} and {reference.describe_unit()}"
        hint = "the numbers are taken to be in the same unit; give `units` of the other"
        yield DacapoLikeError(what, got=got, hint=hint, code="DL402"), "warning"
    if _empty(_span(reference, None), _span(spec, view)):
        got = "; ".join(_covers(name, each) for name, each in (one, other))
        what = f"{role} and {first} have no region in common"
        yield SpecError(what, got=got, expected="overlapping regions", code="DL230"), "error"
    elif not all(map(_meets, view.ratio, view.shift)):
        yield _misaligned(role, first, view), "error"
    elif not all(1 in (ratio.numerator, ratio.denominator) for ratio in view.ratio):
        sizes = f"{format_numbers(spec.voxel_size)} and {format_numbers(reference.voxel_size)}"
        yield (
            DacapoLikeError(
                f"the voxel sizes of {role} and {first} are not multiples of each other",
                got=sizes,
                hint="patches begin only where both grids have a corner; resample one of the arrays",
                code="DL404",
            ),
            "warning",
        )


def _meets(ratio: Fraction, shift: Fraction) -> bool:
    """Whether there are integers ``n`` for which ``n * ratio + shift`` is one."""
    parts = math.lcm(ratio.denominator, shift.denominator)
    return int(shift * parts) % math.gcd(int(ratio * parts), parts) == 0


def _misaligned(role: str, first: str, view: View) -> SpecError:
    half = all((2 * shift).denominator == 1 for shift in view.shift) or all(
        (2 * shift / ratio).denominator == 1
        for shift, ratio in zip(view.shift, view.ratio, strict=True)
    )
    return SpecError(
        f"the grids of {role} and {first} have no corner in common",
        got=f"{role} starts {format_numbers(-shift for shift in view.shift)} of its voxels from {first}",
        expected="corners of voxels that meet",
        hint="they miss each other by half a voxel: one source may store corners where the other stores centres; set "
        "`anchor: corner` or `anchor: center` on it"
        if half
        else "resample one of them, or correct its offset",
        code="DL232",
    )


def _span(spec: ArraySpec, view: View | None) -> _Span:
    """Give where an array begins and ends, in voxels of the one that it is seen from."""
    if view is None:
        return tuple((Fraction(0), Fraction(n)) for n in spec.spatial_shape)
    return tuple(
        (-shift / ratio, (n - shift) / ratio)
        for n, ratio, shift in zip(spec.spatial_shape, view.ratio, view.shift, strict=True)
    )


def _empty(*spans: _Span) -> bool:
    return any(
        max(low for low, _ in axis) >= min(high for _, high in axis)
        for axis in zip(*spans, strict=True)
    )


def _covers(name: str, spec: ArraySpec) -> str:
    return f"{name} covers {spec.roi} {spec.describe_unit()}"


def _no_common_region(arrays: Mapping[str, Array]) -> SpecError:
    return SpecError(
        f"{', '.join(arrays)} have no region that is common to all",
        got="; ".join(_covers(role, array.spec) for role, array in arrays.items()),
        expected="overlapping regions",
        code="DL230",
    )


# Patches


def _patch_findings(
    config: ExperimentConfig, fitting: list[tuple[DatasetConfig, dict[str, Array]]]
) -> Iterator[Judged]:
    """Cut datasets into patches."""
    splits = {dataset.split for dataset in config.datasets}
    for name, patches in config.patches.items():
        if name not in splits:
            missing = ConfigError(
                "no dataset of this split",
                got=repr(name),
                expected=f"one of {', '.join(sorted(splits))}" if splits else "datasets",
                hint=did_you_mean(name, splits),
            )
            yield Finding(("patches", name), missing), "error"
        for dataset, arrays in fitting:
            if dataset.split != name:
                continue
            try:
                source = patches.together(arrays)
                if not patches.sampled:
                    patches.grid(source)
            except DacapoLikeError as error:
                error.where = error.where or f"dataset {dataset.name}"
                key = ("shape", *error.key[1:]) if error.key[:1] == ("patch",) else error.key
                yield Finding(("patches", name, *key), error), "error"
