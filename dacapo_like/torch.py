"""Data sets of PyTorch's over patches: the extra ``torch``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like.bridges import importing
from dacapo_like.engine import ahead
from dacapo_like.errors import ConfigError
from dacapo_like.patches.batches import (
    GridSource,
    Item,
    Patched,
    check_batch_size,
    check_names,
    stacked,
)
from dacapo_like.patches.extract import PatchPad
from dacapo_like.patches.grid import PatchGrid
from dacapo_like.patches.sampler import PatchSampler

with importing("torch", extra="torch"):
    import torch
    from torch.utils.data import Dataset, IterableDataset, get_worker_info

Patches: TypeAlias = "PatchSampler | PatchGrid"
Tensors: TypeAlias = "dict[str, Any]"

_WIDER = {"uint16": np.int32, "uint32": np.int64, "uint64": np.int64}
_KNOWN = frozenset(
    ["bool", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8"]
)


class PatchDataset(Dataset):  # type: ignore[misc]  # torch's own hints are left out
    """Patches by number, for a ``DataLoader`` that shuffles and makes batches.

    An item is a dict of tensors: of every array its patch, over all its axes, context included, and ``index``, the item's own number;
    of a sampler ``source``, too, which of several it is from. Patches follow from seed, epoch and index alone, whatever workers
    there are and however they were started; these open the arrays for themselves.

    Parameters
    ----------
    patches : PatchSampler or PatchGrid
        Of a grid, item `i` is patch ``grid[i]``; give a slice or shard of one for a part.
    arrays : mapping of str to Array or ndarray, or Together
        What is read of the patches of a grid, as `dacapo_like.patches.batches.batches` takes it. A sampler has its own.
    epoch : int
        Of a sampler; see `set_epoch`.
    pad : "error", "edge", "reflect", "median" or {"constant": value}
        What stands outside of the arrays of a grid.

    Raises
    ------
    ConfigError
        A grid without arrays, a sampler with some, or an array that is called ``index`` or ``source``.

    Notes
    -----
    Tensors have the dtypes of `to_tensor`.

    Examples
    --------
    >>> import dacapo_like
    >>> from dacapo_like.patches.sampler import PatchSampler
    >>> raw = dacapo_like.from_numpy(np.arange(100, dtype="uint16"), axes="x")
    >>> data = PatchDataset(PatchSampler({"raw": raw}, 4, seed=1, samples=20))
    >>> for batch in torch.utils.data.DataLoader(data, batch_size=8):
    ...     print(batch["raw"].shape, batch["raw"].dtype)
    torch.Size([8, 4]) torch.int32
    torch.Size([8, 4]) torch.int32
    torch.Size([4, 4]) torch.int32
    """

    def __init__(
        self,
        patches: Patches,
        arrays: Patched | None = None,
        *,
        epoch: int = 0,
        pad: PatchPad = "error",
    ) -> None:
        self._items = _items(patches, arrays, pad)
        self._epoch = _shared(epoch)

    def __len__(self) -> int:
        """Give the number of items.

        Raises
        ------
        TypeError
            An epoch of the sampler has no end.
        """
        return len(self._items)

    def __getitem__(self, index: int) -> Tensors:
        """Read an item."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Tensors]:
        """Read the items of a batch, which a ``DataLoader`` asks for together: while one is finished, the next are being read."""
        n, epoch = len(self), int(self._epoch)
        for index in indices:
            if not -n <= index < n:
                raise IndexError(f"item {index} of {n}")
        items = ahead(self._items.start(epoch, index % n) for index in indices)
        return [
            {name: to_tensor(np.asarray(value)) for name, value in item.items()} for item in items
        ]

    def set_epoch(self, epoch: int) -> None:
        """Draw other patches from the next epoch on; workers that are kept (``persistent_workers``) hear of it, too."""
        self._epoch.fill_(epoch)


class PatchBatches(IterableDataset):  # type: ignore[misc]  # torch's own hints are left out
    """Patches in order, in batches: for a ``DataLoader`` with ``batch_size=None``.

    A batch is a dict of tensors as a ``DataLoader`` makes of the items of `PatchDataset`. Batches and their order are the same for
    any number of workers: each makes whole batches, in turn.

    Parameters
    ----------
    patches, arrays, epoch, pad
        As `PatchDataset` takes them; an epoch of the sampler need not have an end.
    batch_size : int
        Patches in a batch; the last one may have fewer.
    start, step : int
        To take only every `step`-th patch: process `start` of `step` takes its own, and together they take each once. With a step
        of 1, where to go on.
    drop_last : bool
        Leave out a last batch that has fewer.

    Examples
    --------
    >>> from dacapo_like.patches.grid import PatchGrid
    >>> data = PatchBatches(PatchGrid((6,), (2,)), {"raw": np.arange(10, 16)}, batch_size=2)
    >>> for batch in torch.utils.data.DataLoader(data, batch_size=None):
    ...     print(batch["index"], batch["raw"])
    tensor([0, 1]) tensor([[10, 11],
            [12, 13]])
    tensor([2]) tensor([[14, 15]])
    """

    def __init__(
        self,
        patches: Patches,
        arrays: Patched | None = None,
        *,
        batch_size: int,
        epoch: int = 0,
        pad: PatchPad = "error",
        start: int = 0,
        step: int = 1,
        drop_last: bool = False,
    ) -> None:
        self._items = _items(patches, arrays, pad)
        self._epoch = _shared(epoch)
        check_batch_size(batch_size)
        if start < 0 or step < 1:
            raise ConfigError(
                "no such part", got=f"start {start}, step {step}", expected="0 or more, 1 or more"
            )
        self._size, self._start, self._step, self._drop = batch_size, start, step, drop_last

    def __len__(self) -> int:
        """Give the number of batches.

        Raises
        ------
        TypeError
            An epoch of the sampler has no end.
        """
        n = len(range(self._start, len(self._items), self._step))
        return n // self._size if self._drop else -(-n // self._size)

    def __iter__(self) -> Iterator[Tensors]:
        """Read the batches, or those of this worker."""
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        epoch = int(self._epoch)

        def mine() -> Iterator[range]:
            return itertools.islice(self._batches(), first, None, step)

        items = ahead(self._items.start(epoch, n) for numbers in mine() for n in numbers)
        for numbers in mine():
            batch = stacked(itertools.islice(items, len(numbers)))
            yield {name: to_tensor(values) for name, values in batch.items()}

    def set_epoch(self, epoch: int) -> None:
        """Draw other patches from the next epoch on; workers that are kept (``persistent_workers``) hear of it, too."""
        self._epoch.fill_(epoch)

    def _batches(self) -> Iterator[range]:
        """Give the numbers of the patches of each batch."""
        jump = self._size * self._step
        if self._items.endless:
            for first in itertools.count(self._start, jump):
                yield range(first, first + jump, self._step)
        for k in range(len(self)):
            first = self._start + k * jump
            yield range(first, min(first + jump, len(self._items)), self._step)


def to_tensor(values: NDArray[Any]) -> Any:
    """Give a tensor of the same numbers.

    torch can do little with unsigned integers of more than 8 bits: they become signed ones that hold all of their numbers, uint16
    int32, and uint32 int64; and so does uint64 where no number is above 2**63 - 1. All else keeps its dtype.

    Parameters
    ----------
    values : ndarray
        Of bool, integers, or floats of up to 64 bits. The tensor may share its memory.

    Raises
    ------
    ConfigError
        torch has no such dtype, or int64 has not a number that is there.

    Examples
    --------
    >>> to_tensor(np.array([0, 2**32 - 1], "uint32"))
    tensor([         0, 4294967295])
    """
    name = values.dtype.name
    if name in _WIDER:
        if name == "uint64" and values.size and values.max() > np.uint64(np.iinfo(np.int64).max):
            raise ConfigError(
                "a label that torch has not",
                got=values.max(),
                expected="at most 2**63 - 1",
                hint="binarize the labels, or give them other ids, before they go to torch",
            )
        values = values.astype(_WIDER[name])
    elif name not in _KNOWN:
        raise ConfigError(
            "torch has no such dtype",
            got=name,
            expected="bool, integers, or floats of up to 64 bits",
            hint='`array.astype("float64")` converts',
        )
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))


@attrs.frozen(eq=False)
class _SamplerItems:
    sampler: PatchSampler

    @property
    def endless(self) -> bool:
        return self.sampler.samples is None

    def __len__(self) -> int:
        return len(self.sampler)

    def start(self, epoch: int, index: int) -> Callable[[], Item]:
        finish = self.sampler.start(epoch, index)

        def item() -> Item:
            sample = finish()
            source = np.int64(sample.source)
            return {**sample.arrays, "index": np.int64(index), "source": source}

        return item


@attrs.frozen(eq=False)
class _GridItems:
    source: GridSource
    endless = False

    def __len__(self) -> int:
        return len(self.source)

    def start(self, epoch: int, index: int) -> Callable[[], Item]:  # noqa: ARG002  # a grid is the same in all of them
        return self.source.start(index)


def _items(patches: Patches, arrays: Patched | None, pad: PatchPad) -> _SamplerItems | _GridItems:
    if isinstance(patches, PatchSampler):
        if arrays is not None or pad != "error":
            raise ConfigError("a sampler has its arrays, and what they are filled with, already")
        check_names(patches.sources[0].arrays, ["index", "source"])
        return _SamplerItems(patches)
    if arrays is None:
        raise ConfigError("a grid of patches, but no arrays", expected="arrays by name")
    return _GridItems(GridSource(patches, arrays, pad))


def _shared(epoch: int) -> Any:
    """Keep a number where workers see it change."""
    return torch.tensor(epoch, dtype=torch.int64).share_memory_()
