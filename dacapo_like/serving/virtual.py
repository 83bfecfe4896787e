"""An array as an OME-Zarr 0.5 image that stands nowhere: its metadata and chunks are made when they are asked for."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np

from dacapo_like.core import Array
from dacapo_like.errors import SpecError
from dacapo_like.geometry import Box
from dacapo_like.pyramids import Factors, coarser, halvings, pooling_method
from dacapo_like.spec import ArraySpec
from dacapo_like.writers.ngff import dimension_names, format_order, image_attributes, level_path
from dacapo_like.writers.zarr_metadata import array_document, group_document

CHUNK_VOXELS = 2**18
"""Voxels of a chunk: what a viewer shows of it at a time, and what a slow tree makes in a moment."""

MOST_TOGETHER = 16
"""Channels that are in one chunk; where there are more, each has chunks of its own."""

MOST_READ = 2**28
"""Voxels of the array that a chunk of a coarser level may be made of; there are no levels that would need more."""


class VirtualImage:
    """One array as a multiscale image; the levels are those that `Array.downsample` makes of it.

    Chunks are cubes (squares in two dimensions) of single timepoints and a few channels, in the format's order of axes, not
    compressed.

    Parameters
    ----------
    array : Array
        The finest level.
    name : str, optional
        Of the image; by default the array's.

    Attributes
    ----------
    levels : tuple of Array
        The finest first, in the array's order of axes.
    chunk_shape : tuple of int
        Of the chunks of all levels, in the array's order of axes.

    Raises
    ------
    SpecError
        OME-Zarr has no place for such an array.

    Examples
    --------
    >>> import dacapo_like
    >>> array = dacapo_like.from_numpy(np.arange(100, dtype="uint8").reshape(10, 10), voxel_size=(4, 4))
    >>> image = VirtualImage(array, name="raw")
    >>> json.loads(image.document("zarr.json"))["attributes"]["ome"]["multiscales"][0]["name"]
    'raw'
    >>> list(image.chunk(0, (0, 0))[:3])
    [0, 1, 2]
    """

    def __init__(self, array: Array, *, name: str | None = None) -> None:
        spec = array.spec
        self._order = format_order(spec)
        self._check(spec)
        self.name = name or array.name
        self.chunk_shape = _chunk_shape(spec)
        factors = _total_factors(spec, self.chunk_shape)
        method = pooling_method(spec.kind)
        self.levels = (array, *(array.downsample(each, method=method) for each in factors))
        self._documents = self._metadata()

    @property
    def array(self) -> Array:
        """The finest level."""
        return self.levels[0]

    def document(self, key: str) -> bytes | None:
        """Give a metadata document by its path in the group; ``None``: there is none there."""
        return self._documents.get(key)

    def chunk_box(self, level: int, index: tuple[int, ...]) -> Box | None:
        """Give what a chunk shows of a level, in the array's order of axes; ``None``: there is no such chunk.

        Parameters
        ----------
        level : int
            0 is the finest.
        index : tuple of int
            Of the chunk, in the format's order of axes.
        """
        if not 0 <= level < len(self.levels) or len(index) != len(self._order):
            return None
        places = dict(zip(self._order, index, strict=True))
        shape = self.levels[level].shape
        offset = tuple(places[axis] * n for axis, n in enumerate(self.chunk_shape))
        if any(not 0 <= o < n for o, n in zip(offset, shape, strict=True)):
            return None
        ends = zip(offset, self.chunk_shape, shape, strict=True)
        return Box(offset, tuple(min(chunk, n - o) for o, chunk, n in ends))

    def chunk(self, level: int, index: tuple[int, ...]) -> bytes | None:
        """Read a chunk as it stands in a file; ``None``: there is no such chunk.

        Raises
        ------
        ReadError
            A source cannot give its voxels.
        """
        box = self.chunk_box(level, index)
        if box is None:
            return None
        data = self.levels[level].read_box(box)
        if box.shape != self.chunk_shape:  # at the end of the array
            whole = np.zeros(self.chunk_shape, data.dtype)
            whole[tuple(map(slice, box.shape))] = data
            data = whole
        little = data.astype(data.dtype.newbyteorder("<"), copy=False)
        return little.transpose(self._order).tobytes()

    def _check(self, spec: ArraySpec) -> None:
        if spec.dtype.kind not in "biuf" or spec.dtype.itemsize > 8:
            raise SpecError(
                "Zarr has no such voxels", got=spec.dtype, expected="bool, integer or float"
            )
        if 0 in spec.shape:
            raise SpecError("there is nothing to be seen", got=f"shape {spec.shape}")

    def _metadata(self) -> dict[str, bytes]:
        stored = [level.spec.transposed(self._order) for level in self.levels]
        chunks = tuple(self.chunk_shape[axis] for axis in self._order)
        found: dict[str, Any] = {
            "zarr.json": group_document(image_attributes(stored, name=self.name))
        }
        for level, spec in enumerate(stored):
            document = array_document(spec, dimension_names(spec), chunks)
            found[f"{level_path(level)}/zarr.json"] = document
        return {key: json.dumps(document).encode() for key, document in found.items()}


def _chunk_shape(spec: ArraySpec) -> tuple[int, ...]:
    """Give single timepoints, all channels where these are few, and along all spatial axes the same power of two."""
    edge = 2 ** round(math.log2(CHUNK_VOXELS) / max(spec.dims, 1))
    channels = spec.num_channels if has_few_channels(spec) else 1
    leading = tuple(channels or 1 if axis == "c" else 1 for axis in spec.leading_axes)
    return leading + (edge,) * spec.dims


def has_few_channels(spec: ArraySpec) -> bool:
    """Whether all channels of a place are in one chunk, as viewers want those that they show together."""
    return spec.num_channels is not None and spec.num_channels <= MOST_TOGETHER


def _total_factors(spec: ArraySpec, chunk_shape: tuple[int, ...]) -> list[Factors]:
    """Give, per coarser level, how many voxels of the array become one along each spatial axis."""
    edge = chunk_shape[-1]
    steps = itertools.accumulate(
        halvings(spec, edge), lambda a, b: tuple(x * y for x, y in zip(a, b, strict=True))
    )
    found = []
    for factors in steps:
        chunk = [min(edge, n // f) for n, f in zip(spec.spatial_shape, factors, strict=True)]
        if math.prod(chunk) * math.prod(factors) > MOST_READ:
            break
        coarser(spec, factors)
        found.append(factors)
    return found
