"""Patches as data: how the datasets of a split are cut for training, or for going over them once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import attrs

from dacapo_like.core import Array, Named, about, as_named
from dacapo_like.errors import ConfigError
from dacapo_like.geometry import Coordinate
from dacapo_like.patches._axis import Count, Edge, Spacing
from dacapo_like.patches.grid import PatchGrid, Units
from dacapo_like.patches.sampler import (
    Balanced,
    Centers,
    PatchSampler,
    Strategy,
    Stratified,
    Uniform,
    Weighted,
)
from dacapo_like.patches.together import Together

Role = Literal["raw", "gt", "mask"]
Fill = Literal["error", "edge", "reflect", "median"]
Chooser = Literal["uniform", "weighted", "balanced", "stratified", "points"]

_OF_GRIDS = ("overlap", "stride", "edge", "spacing", "count")


def _pad(value: Any) -> Any:
    return value if isinstance(value, str) else as_named(value)


def _around(points: Sequence[Sequence[Coordinate] | None]) -> Strategy:
    """Take patches around the points of each dataset."""
    given = [[[float(part) for part in point] for point in each] for each in points if each]
    if not given or len(given) < len(points):
        raise ConfigError(
            "a sampler of type points needs points in every dataset",
            got=f"{len(given)} of {len(points)} datasets with `sample_points`",
            key=("sampler", "type"),
        )
    return Centers(given[0] if len(given) == 1 else given, outside="drop")


@attrs.frozen(kw_only=True, cache_hash=True)
class SamplerConfig:
    """Where patches are taken at random."""

    type: Chooser = attrs.field(
        default="uniform",
        metadata=about(
            "`uniform`: anywhere; `weighted`: as likely as `by` says at the centre; `balanced`: every label of `by` as "
            "likely; `stratified`: one in each cell of a grid; `points`: around the `sample_points` of the datasets."
        ),
    )
    by: Role | None = attrs.field(
        default=None, metadata=about("The array of weights or labels: `mask` or `gt` or `raw`.")
    )

    def __attrs_post_init__(self) -> None:
        if (self.by is None) == (self.type in {"weighted", "balanced"}):
            raise ConfigError(
                f"a {self.type} sampler {'needs' if self.by is None else 'takes no'} `by`",
                got=self.by,
                expected="`by` with weighted and balanced, and only with them",
                key=("by",),
            )


@attrs.frozen(kw_only=True, cache_hash=True)
class PatchesConfig:
    """Patches of the datasets of a split: drawn at random where there is a `sampler` or `samples`, else a grid that covers each."""

    shape: Coordinate = attrs.field(
        converter=Coordinate,
        metadata=about("Size of a patch without its context, per spatial axis."),
    )
    context: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about("What is read around a patch on each side, of the array `of`."),
    )
    units: Units = attrs.field(
        default="voxel", metadata=about("What sizes are given in: `voxel` or `world`.")
    )
    of: Role = attrs.field(
        default="raw", metadata=about("The array in whose voxels, or world units, sizes are given.")
    )
    overlap: float | Coordinate | None = attrs.field(
        default=None,
        metadata=about("Of a grid: how much patches overlap; below 1 a part of their size."),
    )
    stride: Coordinate | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(Coordinate),
        metadata=about("Of a grid: how far patches are apart, instead of `overlap`."),
    )
    edge: Edge = attrs.field(
        default="shift",
        metadata=about("Of a grid: what becomes of patches that leave the array, see `PatchGrid`."),
    )
    spacing: Spacing = attrs.field(
        default="even", metadata=about("Of a grid: whether all patches are shifted, or the last.")
    )
    count: Count = attrs.field(
        default="minimal", metadata=about("Of a grid: the fewest patches, or as many as BiaPy has.")
    )
    pad: Fill | Named[int | float] = attrs.field(
        default="error",
        converter=_pad,
        metadata=about(
            "What stands outside of an array: `error`, `edge`, `reflect`, `median` or `{constant: value}`."
        ),
    )
    window: Literal["crop", "flat", "hann", "gaussian", "spline"] = attrs.field(
        default="crop", metadata=about("How predictions are put together, see `Stitcher`.")
    )
    sampler: SamplerConfig | None = attrs.field(
        default=None, metadata=about("Where patches are taken at random.")
    )
    seed: int = attrs.field(default=0, metadata=about("Of the random numbers; any."))
    samples: int | None = attrs.field(
        default=None, metadata=about("How many patches an epoch has, of all datasets together.")
    )

    def __attrs_post_init__(self) -> None:
        sampled = self.sampler is not None or self.samples is not None
        defaults = {field.name: field.default for field in attrs.fields(PatchesConfig)}
        given = [key for key in _OF_GRIDS if getattr(self, key) != defaults[key]]
        if sampled and given:
            raise ConfigError(
                "patches are either drawn at random or cover the datasets",
                got=f"`{given[0]}` beside `{'samples' if self.sampler is None else 'sampler'}`",
                expected=f"a sampler, or {', '.join(_OF_GRIDS)}",
                key=(given[0],),
            )
        if isinstance(self.pad, Named) and set(self.pad) != {"constant"}:
            raise ConfigError(
                "unknown way to pad",
                got=dict(self.pad),
                expected=f"{', '.join(get_args(Fill))} or {{constant: value}}",
                key=("pad",),
            )

    @property
    def sampled(self) -> bool:
        """Whether patches are drawn at random."""
        return self.sampler is not None or self.samples is not None

    @property
    def _reading(self) -> dict[str, Any]:
        """How patches are read, as `Together` and `PatchSampler` take it."""
        return {
            "of": self.of,
            "context": 0 if self.context is None else self.context,
            "units": self.units,
            "pad": dict(self.pad) if isinstance(self.pad, Named) else self.pad,
        }

    def together(self, arrays: Mapping[str, Array]) -> Together:
        """Give the arrays of a dataset as what patches are taken of.

        Parameters
        ----------
        arrays : mapping of str to Array
            By role; those that the dataset has.

        Raises
        ------
        SpecError, ConfigError
            They do not fit together, or the patch does not fit them.
        """
        return Together(arrays, self.shape, **self._reading)

    def grid(self, source: Together) -> PatchGrid:
        """Give the patches that cover a dataset.

        Raises
        ------
        ConfigError
            They do not fit it.
        """
        return source.grid(
            overlap=0 if self.overlap is None else self.overlap,
            stride=self.stride,
            edge=self.edge,
            spacing=self.spacing,
            count=self.count,
        )

    def sampler_of(
        self,
        datasets: Sequence[Mapping[str, Array]],
        weights: Sequence[float],
        points: Sequence[Sequence[Coordinate] | None] = (),
    ) -> PatchSampler:
        """Draw patches of several datasets.

        Parameters
        ----------
        datasets : sequence of mapping of str to Array
            Of each its arrays by role.
        weights : sequence of number
            How often each is drawn, relative to the others.
        points : sequence of (sequence of Coordinate, or None)
            Of each its `sample_points`.

        Raises
        ------
        DacapoLikeError
            The datasets do not fit the patches, or each other; or the weights of places cannot be read.
        """
        chosen = self.sampler or SamplerConfig()
        by: Any = chosen.by
        strategies: dict[Chooser, Callable[[], Strategy]] = {
            "uniform": Uniform,
            "weighted": lambda: Weighted(by),
            "balanced": lambda: Balanced(by),
            "stratified": Stratified,
            "points": lambda: _around(points),
        }
        return PatchSampler(
            datasets,
            self.shape,
            strategies[chosen.type](),
            self.seed,
            samples=self.samples,
            weights=weights,
            **self._reading,
        )
