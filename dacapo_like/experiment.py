"""Experiments: the arrays of one document by name, opened when they are asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np

from dacapo_like.config.converter import Library
from dacapo_like.config.dataset import DatasetConfig, ExperimentConfig, Split
from dacapo_like.config.loading import load_config
from dacapo_like.config.overrides import Overrides
from dacapo_like.core import (
    Array,
    ArrayConfig,
    OperatorConfig,
    Reader,
    SourceConfig,
    UnaryConfig,
    open_tree,
)
from dacapo_like.engine import not_writable
from dacapo_like.errors import ConfigError, did_you_mean
from dacapo_like.patches.batches import Batch, Item, check_batch_size, stacked
from dacapo_like.patches.cover import Cover
from dacapo_like.patches.sampler import PatchSampler, Sample

Mode = Literal["r", "r+"]


class OpenedArrays(Mapping[str, Array]):
    """Arrays by name; each is opened once, when it is first asked for."""

    def __init__(self, configs: Mapping[str, ArrayConfig]) -> None:
        self._configs = configs
        self._opened: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._configs:
            raise no_such_array(name, self._configs)
        if name not in self._opened:
            self._opened[name] = open_tree(
                self._configs[name], {array.config: array for array in self._opened.values()}
            )
        return self._opened[name]

    @property
    def opened(self) -> tuple[Array, ...]:
        """Those that are open."""
        return tuple(self._opened.values())

    def __contains__(self, name: object) -> bool:
        return name in self._configs

    def __iter__(self) -> Iterator[str]:
        return iter(self._configs)

    def __len__(self) -> int:
        return len(self._configs)


class Experiment:
    """Arrays and datasets of one document.

    Attributes
    ----------
    config : ExperimentConfig
        As data.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        self.config = config

    @classmethod
    def load(
        cls,
        target: str | Path | Mapping[str, Any],
        *,
        overrides: Overrides = (),
        store: Library | None = None,
    ) -> Experiment:
        """Read the document of an experiment, as the function `load` does.

        Raises
        ------
        ConfigError
            It describes one array.
        """
        loaded = load(target, overrides=overrides, store=store)
        if isinstance(loaded, Experiment):
            return loaded
        raise ConfigError(
            "one array is no experiment",
            got=loaded.describe(),
            expected="a document with `arrays`",
            where=None if isinstance(target, Mapping) else str(target),
        )

    @cached_property
    def arrays(self) -> OpenedArrays:
        """The arrays by name; each is opened when it is first asked for."""
        return OpenedArrays(self.config.arrays)

    def datasets(self, *, split: Split | None = None) -> tuple[DatasetConfig, ...]:
        """Give the datasets, or those of one split."""
        return tuple(dataset for dataset in self.config.datasets if split in (None, dataset.split))

    def patches(self, name: str) -> PatchSampler | Cover:
        """Give the patches of the datasets of a split, as the document says.

        Parameters
        ----------
        name : str
            Under `patches` in the document, and of the split.

        Returns
        -------
        PatchSampler or Cover
            Patches drawn at random, or those of grids that cover the datasets; both have a length where it is known, and give
            samples: the voxels of each array by role (``raw``, ``gt``, ``mask``), the patch, and the number of the dataset.

        Raises
        ------
        ConfigError
            There are no patches of this name, or no dataset of this split.
        SpecError
            The arrays of a dataset do not fit together.
        """
        if name not in self.config.patches:
            known = self.config.patches
            raise ConfigError(
                "no patches of this name",
                got=repr(name),
                expected=f"one of {', '.join(known)}" if known else "an entry of `patches`",
                hint=did_you_mean(name, known),
            )
        config = self.config.patches[name]
        datasets = [dataset for dataset in self.config.datasets if dataset.split == name]
        if not datasets:
            raise ConfigError("no dataset of this split", got=repr(name), key=("datasets",))
        opened = {array.config: array for array in self.arrays.opened}
        arrays = [
            {role: open_tree(part, opened) for role, part in dataset.arrays.items()}
            for dataset in datasets
        ]
        if config.sampled:
            return config.sampler_of(
                arrays,
                [dataset.weight for dataset in datasets],
                [dataset.sample_points for dataset in datasets],
            )
        sources = [config.together(each) for each in arrays]
        return Cover(sources, map(config.grid, sources))

    def batches(
        self, name: str, batch_size: int, *, epoch: int = 0, drop_last: bool = False
    ) -> Iterator[Batch]:
        """Read the patches of the datasets of a split, so many at a time; the next ones are being read meanwhile.

        Parameters
        ----------
        name : str
            As of `patches`.
        batch_size : int
            Patches in a batch; the last one may have fewer.
        epoch : int
            Which samples, where they are drawn at random; without `samples` in the document there is no end to them.
        drop_last : bool
            Leave out a last batch that has fewer.

        Yields
        ------
        dict of str to ndarray
            By role (``raw``, ``gt``, ``mask``), the patches along a new first axis; ``index``, the number of each in the epoch or
            the cover; and ``source``, the number of its dataset.

        Raises
        ------
        DacapoLikeError
            As `patches`; or the batch size is below 1, or patches differ in shape or in the arrays that their datasets have.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np, dacapo_like
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.arange(10))
        ...     raw = {"type": "npy", "file_name": f"{folder}/a.npy"}
        ...     data = {
        ...         "arrays": {"raw": raw},
        ...         "datasets": [{"name": "all", "raw": "raw"}],
        ...         "patches": {"train": {"shape": [2]}},
        ...     }
        ...     for batch in Experiment.load(data).batches("train", 3):
        ...         print(batch["index"], batch["raw"].tolist())
        [0 1 2] [[0, 1], [2, 3], [4, 5]]
        [3 4] [[6, 7], [8, 9]]
        """
        check_batch_size(batch_size)
        patches = self.patches(name)
        samples = patches.epoch(epoch) if isinstance(patches, PatchSampler) else iter(patches)
        items = (_item(number, sample) for number, sample in enumerate(samples))
        return _stacked(items, batch_size, drop_last=drop_last)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Experiment) and self.config == other.config

    def __hash__(self) -> int:
        return hash(self.config)

    def __repr__(self) -> str:
        return (
            f"<Experiment: arrays {', '.join(self.arrays)}; {len(self.config.datasets)} datasets>"
        )


def _item(number: int, sample: Sample) -> Item:
    return {**sample.arrays, "index": np.int64(number), "source": np.int64(sample.source)}


def _stacked(items: Iterator[Item], size: int, *, drop_last: bool) -> Iterator[Batch]:
    while group := list(itertools.islice(items, size)):
        if len(group) == size or not drop_last:
            roles = group[0].keys()
            for item in group:
                if item.keys() != roles:
                    raise ConfigError(
                        "datasets that have different arrays are no batch",
                        got=", ".join(item),
                        expected=", ".join(roles),
                    )
            yield stacked(group)


def no_such_array(name: str, known: Mapping[str, Any]) -> ConfigError:
    """Make the error for a name that is not in a document."""
    return ConfigError(
        "no array of this name",
        got=repr(name),
        expected=f"one of {', '.join(known)}",
        hint=did_you_mean(name, known),
        code="DL107",
    )


def load(
    target: str | Path | Mapping[str, Any],
    *,
    overrides: Overrides = (),
    store: Library | None = None,
) -> ArrayConfig | Experiment:
    """Read a document: one array, or an experiment of several. No data is opened.

    Parameters
    ----------
    target : path or mapping
        A YAML, TOML or JSON document, or the plain data of one.
    overrides : iterable of str, or mapping
        What stands in the document instead: ``key.path=value`` each, the value as in YAML, or values by key path.
    store : ConfigStore, optional
        Where names of arrays are looked up that the document does not have.

    Raises
    ------
    DocumentError
        It cannot be read.
    InvalidDocumentError
        It is not what the language says; all problems are in ``problems``.
    """
    config = load_config(target, overrides, store=store)
    return Experiment(config) if isinstance(config, ExperimentConfig) else config


def open_array(
    target: str | Path | Mapping[str, Any] | ArrayConfig | Experiment,
    name: str | None = None,
    *,
    mode: Mode | None = None,
    overrides: Overrides = (),
    store: Library | None = None,
) -> Array:
    """Open an array of a document, mapping or config: headers are read, no voxels.

    Parameters
    ----------
    target : path, mapping, ArrayConfig or Experiment
        What describes it.
    name : str, optional
        Which array of an experiment; not needed where there is only one.
    mode : {"r", "r+"}, optional
        Whether regions can be assigned to; by default as the document says.
    overrides : iterable of str, or mapping
        As of `load`; only for documents and mappings.
    store : ConfigStore, optional
        As of `load`.

    Raises
    ------
    DocumentError, InvalidDocumentError
        As `load`.
    WriteError
        `mode` is ``r+``, and the array is one that cannot be written to.
    ConfigError
        There is no such array, or several and no name.
    SourceError, SpecError
        The tree cannot be opened.

    Examples
    --------
    >>> import numpy as np, dacapo_like
    >>> raw = dacapo_like.from_numpy(np.eye(4))
    >>> open_array(dacapo_like.OnesArrayConfig(source_array_config=raw.config)).shape
    (4, 4)
    """
    if isinstance(target, (str, Path, Mapping)):
        found = load(target, overrides=overrides, store=store)
    elif overrides:
        raise ConfigError(
            "overrides are for documents", got=type(target).__name__, expected="a path or a mapping"
        )
    else:
        found = target
    if isinstance(found, ArrayConfig):
        if name not in (None, found.name):
            raise no_such_array(str(name), {found.name or "the only one": found})
        return (found if mode is None else with_mode(found, mode)).array()
    if name is None:
        if len(found.arrays) != 1:
            raise ConfigError(
                "several arrays to choose from",
                expected=f"a name: one of {', '.join(found.arrays)}",
            )
        name = next(iter(found.arrays))
    array = found.arrays[name]
    return array if mode is None else with_mode(array.config, mode).array()


def with_mode(config: ArrayConfig, mode: Mode) -> ArrayConfig:
    """Give a config whose voxels, in the source that they come from, are opened with a mode.

    Raises
    ------
    WriteError
        There is no such source, or it is never written to.
    """
    path: list[UnaryConfig] = []
    source = config
    while isinstance(source, UnaryConfig) and source.read_only is None:
        path.append(source)
        source = source.source_array_config
    if isinstance(source, SourceConfig) and hasattr(source, "mode"):
        changes: dict[str, Any] = {"mode": mode}
        source = attrs.evolve(source, **changes)
    elif mode != "r":
        reason = source.read_only if isinstance(source, OperatorConfig) else Reader.read_only
        raise not_writable(reason, source.describe())
    for operator in reversed(path):
        source = attrs.evolve(operator, source_array_config=source)
    return source
