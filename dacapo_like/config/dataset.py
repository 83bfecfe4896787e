"""Experiments as data: named arrays, the datasets that are made of them, and how these are cut into patches."""

from __future__ import annotations

from typing import Literal

import attrs

from dacapo_like.config.patches import PatchesConfig
from dacapo_like.core import ArrayConfig, Named, about, as_named
from dacapo_like.errors import ConfigError
from dacapo_like.fields import first_repeated
from dacapo_like.geometry import Coordinate

Split = Literal["train", "validate", "test"]


@attrs.frozen(kw_only=True, cache_hash=True)
class DatasetConfig:
    """Arrays that belong together: what a model sees, what it should say, and where that counts."""

    name: str = attrs.field(
        metadata=about("Of the dataset; every dataset of an experiment has its own.")
    )
    split: Split = attrs.field(default="train", metadata=about("What the dataset is for."))
    raw: ArrayConfig = attrs.field(metadata=about("What the model sees."))
    gt: ArrayConfig | None = attrs.field(default=None, metadata=about("What the model should say."))
    mask: ArrayConfig | None = attrs.field(
        default=None, metadata=about("Where the ground truth counts.")
    )
    weight: float = attrs.field(
        default=1.0, metadata=about("How often the dataset is sampled, relative to the others.")
    )
    sample_points: tuple[Coordinate, ...] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(tuple),
        metadata=about(
            "World points of `raw` around which a sampler of type `points` takes patches."
        ),
    )

    @property
    def arrays(self) -> dict[str, ArrayConfig]:
        """Those that there are, by role."""
        roles = {"raw": self.raw, "gt": self.gt, "mask": self.mask}
        return {role: config for role, config in roles.items() if config is not None}

    def __attrs_post_init__(self) -> None:
        if not self.weight >= 0:
            raise ConfigError(
                "weight is negative",
                got=self.weight,
                expected="a number of at least 0",
                key=("weight",),
            )


@attrs.frozen(kw_only=True, cache_hash=True)
class ExperimentConfig:
    """The arrays of a document by name, and the datasets that are made of them."""

    arrays: Named[ArrayConfig] = attrs.field(converter=as_named, metadata=about("Arrays by name."))
    datasets: tuple[DatasetConfig, ...] = attrs.field(
        default=(), converter=tuple, metadata=about("Datasets for training and validation.")
    )
    patches: Named[PatchesConfig] = attrs.field(
        factory=Named,
        converter=as_named,
        metadata=about("How datasets are cut into patches, by the name of their split."),
    )

    def __attrs_post_init__(self) -> None:
        names = [dataset.name for dataset in self.datasets]
        repeated = first_repeated(names)
        if repeated is not None:
            raise ConfigError(
                "two datasets of one name",
                got=repeated,
                expected="every name once",
                key=("datasets", names.index(repeated, names.index(repeated) + 1), "name"),
            )
