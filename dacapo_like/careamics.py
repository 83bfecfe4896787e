"""Arrays as image stacks of CAREamics': what it takes from a loader of its users' own. Nothing of CAREamics is imported."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dacapo_like.bridges import block_shape
from dacapo_like.core import Array, tree_nodes
from dacapo_like.errors import ConfigError, RegionError, SpecError
from dacapo_like.geometry import Box
from dacapo_like.padding import fitting_values
from dacapo_like.spec import ArraySpec

_SAMPLES = ("s", "t")
_SPACES = (("y", "x"), ("z", "y", "x"))


class CareamicsImageStack:
    """An array as CAREamics' ``ImageStack``: patches of one sample each, axes C(Z)YX.

    Samples and time points are both samples there: number ``s * T + t``, whichever of the two is stored first. What is outside of the
    array is 0. A patch is one read of its region.

    Parameters
    ----------
    array : Array
        Its axes, in any order, are ``y`` and ``x``, and any of ``s``, ``t``, ``c`` and ``z``.
    dtype : dtype-like, optional
        Of patches. By default float32, as CAREamics has it; but integers of 32 and 64 bits stay what they are, because float32
        has no number for some of them: label 2**24 + 1 would become another.
    source : str or Path, optional
        What CAREamics names predictions after that it writes. By default the file, where all voxels come from one on this machine
        (of a Zarr as a URI, with the array's path in it), else ``"array"``.

    Raises
    ------
    SpecError
        CAREamics has no name for an axis, or there is no ``y`` or ``x``.

    Examples
    --------
    >>> import numpy as np, dacapo_like
    >>> array = dacapo_like.from_numpy(np.arange(24, dtype="uint8").reshape(2, 3, 4), axes="tyx")
    >>> stack = CareamicsImageStack(array)
    >>> stack.data_shape, stack.original_axes
    ((2, 1, 3, 4), 'TYX')
    >>> stack.extract_patch(sample_idx=1, channels=None, coords=(1, -1), patch_size=(2, 3))
    array([[[ 0., 16., 17.],
            [ 0., 20., 21.]]], dtype=float32)
    """

    def __init__(
        self, array: Array, *, dtype: DTypeLike | None = None, source: str | Path | None = None
    ) -> None:
        self.array = array
        self.source: str | Path = _origin(array) if source is None else source
        self._space = _space_of(array.spec)
        self._dtype = _patch_dtype(array.dtype) if dtype is None else np.dtype(dtype)
        self._sizes = dict(zip(array.axes, array.shape, strict=True))
        self._samples = tuple(self._sizes.get(axis, 1) for axis in _SAMPLES)

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Samples, channels and voxels along (z,) y and x."""
        space = (self._sizes[axis] for axis in self._space)
        return (self._samples[0] * self._samples[1], self._sizes.get("c", 1), *space)

    @property
    def data_dtype(self) -> np.dtype[Any]:
        """What the array holds, which patches need not be."""
        return self.array.dtype

    @property
    def original_axes(self) -> str:
        """Axes in the array's order, as CAREamics spells them."""
        return "".join(self.array.axes).upper()

    @property
    def original_data_shape(self) -> tuple[int, ...]:
        """Shape in the array's order."""
        return self.array.shape

    @property
    def chunks(self) -> tuple[int, ...]:
        """Chunks as stored, else blocks of about a megabyte, in the array's order."""
        return block_shape(self.array.spec)

    @property
    def shards(self) -> tuple[int, ...] | None:
        """Always ``None``: an array does not know which of its chunks share a file."""
        return None

    def extract_patch(
        self,
        sample_idx: int,
        channels: Sequence[int] | None,
        coords: Sequence[int],
        patch_size: Sequence[int],
    ) -> NDArray[Any]:
        """Read a patch.

        Parameters
        ----------
        sample_idx : int
            Which sample; nothing is counted from the end.
        channels : sequence of int or None
            Which channels, in which order; ``None``: all of them.
        coords, patch_size : sequence of int
            First voxel and size along (z,) y and x; the patch may leave the array.

        Returns
        -------
        ndarray
            Axes C(Z)YX.

        Raises
        ------
        RegionError
            There is no such sample or channel, or these are no coordinates and sizes of the array's axes.
        ConfigError
            The array holds a number that the dtype asked for does not have.
        """
        sample = self._numbers("sample_idx", [sample_idx], self.data_shape[0])
        wanted = None
        if channels is not None:
            wanted = self._numbers("channels", channels, self.data_shape[1])
        place = {axis: (int(i), 1) for axis, i in self._sample_indices(*sample)}
        first = self._numbers("coords", coords, None)
        size = self._numbers("patch_size", patch_size, None)
        if {len(first), len(size)} != {len(self._space)} or min(size) < 1:
            raise self._refusal(
                "not a patch of this array",
                got=f"coords {first}, patch_size {size}",
                expected=f"a first voxel and a size of at least 1 for each of {' '.join(self._space)}",
            )
        place |= dict(zip(self._space, zip(first, size, strict=True), strict=True))
        runs = [(0, self.data_shape[1])] if wanted is None else _runs(wanted)
        patches = [self._read(place | {"c": run}) for run in runs]
        return self._cast(patches[0] if len(patches) == 1 else np.concatenate(patches))

    def _sample_indices(self, sample: int) -> zip[tuple[str, int]]:
        return zip(_SAMPLES, divmod(sample, self._samples[1]), strict=True)

    def _read(self, place: dict[str, tuple[int, int]]) -> NDArray[Any]:
        """Read a run of channels of a sample: axes C(Z)YX."""
        axes = self.array.axes
        box = Box(tuple(place[axis][0] for axis in axes), tuple(place[axis][1] for axis in axes))
        data = self.array.read_box(box, pad={"constant": 0})
        order = [axes.index(axis) for axis in (*_SAMPLES, "c", *self._space) if axis in axes]
        shape = (place["c"][1], *(place[axis][1] for axis in self._space))
        return data.transpose(order).reshape(shape)

    def _cast(self, patch: NDArray[Any]) -> NDArray[Any]:
        if np.can_cast(patch.dtype, self._dtype, "safe"):
            return np.ascontiguousarray(patch, self._dtype)
        try:
            return np.ascontiguousarray(fitting_values(patch, self._dtype))
        except ConfigError as error:
            error.where = self.array.describe()
            error.hint = f"without `dtype` patches of this array are {_patch_dtype(patch.dtype)}"
            raise

    def _numbers(self, name: str, values: Iterable[Any], n: int | None) -> tuple[int, ...]:
        """Give integers, of a range of `n` where that is given."""
        try:
            numbers = tuple(map(operator.index, values))
        except TypeError as error:
            raise self._refusal(f"{name} has to be integers", got=values) from error
        if n is not None and (not numbers or min(numbers) < 0 or max(numbers) >= n):
            raise self._refusal(
                f"{name} is not in the array",
                got=", ".join(map(str, numbers)) or "none",
                expected=f"0 to {n - 1}",
            )
        return numbers

    def _refusal(self, what: str, **parts: Any) -> RegionError:
        return RegionError(what, where=self.array.describe(), **parts)


def load_image_stacks(
    source: Iterable[Array], axes: str, **options: Any
) -> list[CareamicsImageStack]:
    """Give the image stacks of arrays, as the ``image_stack_loader`` of CAREamics' ``ImageStackLoading``.

    Parameters
    ----------
    source : iterable of Array
        The training, validation, prediction or target data.
    axes : str
        What CAREamics' configuration says of their axes.
    **options
        As `CareamicsImageStack` takes them.

    Raises
    ------
    SpecError
        An array has other axes.

    Examples
    --------
    >>> import numpy as np, dacapo_like
    >>> [stack] = load_image_stacks([dacapo_like.from_numpy(np.ones((2, 8, 8)), axes="cyx")], "CYX")
    >>> stack.data_shape
    (1, 2, 8, 8)
    """
    stacks = [CareamicsImageStack(array, **options) for array in source]
    for stack in stacks:
        if stack.original_axes != axes:
            raise SpecError(
                "an array has other axes than CAREamics is told",
                got=stack.original_axes,
                expected=axes,
                where=stack.array.describe(),
                hint=f'axes="{stack.original_axes}" in the configuration of CAREamics',
            )
    return stacks


def _space_of(spec: ArraySpec) -> tuple[str, ...]:
    """Give the spatial axes in CAREamics' order."""
    space = tuple(axis for axis in ("z", "y", "x") if axis in spec.axes)
    unknown = set(spec.axes) - {*_SAMPLES, "c", *space}
    if unknown or space not in _SPACES:
        raise SpecError(
            "axes that CAREamics does not know",
            got=" ".join(spec.axes),
            expected="y and x, and any of s, t, c and z",
            hint="name them with `axes` where the array is defined",
        )
    return space


def _patch_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Give float32, unless it has not all of the integers."""
    exact = dtype.kind not in "iu" or np.can_cast(dtype, np.float32, "safe")
    return np.dtype(np.float32) if exact else dtype


def _runs(channels: Iterable[int]) -> list[tuple[int, int]]:
    """Give start and length of the runs of channels that follow each other, each of which is one read."""
    runs: list[tuple[int, int]] = []
    for channel in channels:
        if runs and channel == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((channel, 1))
    return runs


def _origin(array: Array) -> str | Path:
    """Say where the voxels are from, as CAREamics' own image stacks do."""
    configs = [node.config for node in tree_nodes(array) if not node.inputs]
    names = {(getattr(c, "file_name", None), getattr(c, "dataset", None)) for c in configs}
    name, dataset = names.pop() if len(names) == 1 else (None, None)
    if name is None or "://" in name:  # CAREamics writes nothing beside what is on servers
        return "array"
    path = Path(name).absolute()
    if path.suffix != ".zarr":
        return path
    return f"file://{path.as_posix()}/{dataset.strip('/')}" if dataset else "array"
