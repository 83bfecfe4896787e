"""Neuroglancer's precomputed volumes: images and segmentations, sharded or not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Any

import attrs
import numpy as np

from dacapo_like import tensorstores
from dacapo_like.core import Reader
from dacapo_like.errors import ConfigError, DacapoLikeError, SourceError
from dacapo_like.geometry import Coordinate
from dacapo_like.registry import register
from dacapo_like.sources._kept import KeptReader, LeveledArrayConfig, choose_level
from dacapo_like.sources._stores import inside, open_store
from dacapo_like.sources._tensorstore_voxels import TensorStoreVoxels
from dacapo_like.sources._zarr_nodes import integers, plain_json, read_json
from dacapo_like.sources.layout import Stored, lay_out
from dacapo_like.spec import Kind

_KINDS: Mapping[str, Kind] = {"image": "image", "segmentation": "labels"}
_NUMBERS = frozenset(
    ["float32"] + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)

_PACKED = (".gz", ".br", ".zstd", ".xz", ".bz2")  # what CloudVolume names chunks of a folder like
_ENOUGH = 32  # it packs all chunks, or none


@register("precomputed")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class PrecomputedArrayConfig(LeveledArrayConfig):
    """A level of a volume in Neuroglancer's precomputed format: a folder, or on a server.

    Examples
    --------
    >>> PrecomputedArrayConfig(file_name="gs://bucket/em", voxel_size=(40, 8, 8)).describe()
    'precomputed'
    """

    def open(self) -> Reader:
        """Read the file ``info``; no chunk is looked for.

        Raises
        ------
        SourceError
            The volume is not there, cannot be reached, or is corrupt.
        """
        where = self.whereabouts()
        try:
            return self._open(where)
        except DacapoLikeError as error:
            error.where = error.where or where
            raise

    def _open(self, where: str) -> Reader:
        store, root = open_store(self.file_name, self.storage_options, ())
        info = read_json(store, f"{root}/info".lstrip("/"))
        if info is None:
            store.has_folder("")  # says if we are not let in
            raise SourceError("not a precomputed volume", expected="a file `info`", where=where)
        try:
            levels = [_stored(info, scale) for scale in info["scales"]]
            keys = [_key(scale["key"]) for scale in info["scales"]]
        except KeyError as error:
            raise SourceError(
                "info is incomplete", expected=f"a key {error}", where=where
            ) from error
        except (TypeError, ValueError, AttributeError, IndexError, ConfigError) as error:
            raise SourceError("info is corrupt", got=error, where=where) from error
        if not levels:
            raise SourceError("a volume without scales", where=where)
        level = choose_level(self, [stored.voxel_size for stored in levels], where)
        folder = inside(root, keys[level], where)
        _require_plain_chunks(store.place(folder).kvstore, where)
        opening = partial(
            _open_tensorstore,
            store.place(root).kvstore,
            level,
            one_channel=len(levels[level].shape) == 3,
        )
        remote = store.place(root).remote
        voxels = TensorStoreVoxels(opening, self.missing, where, remote=remote)
        return KeptReader(lay_out(levels[level], self, where), voxels)


def _require_plain_chunks(kvstore: Mapping[str, Any], where: str) -> None:
    """Refuse what CloudVolume leaves in a folder by default, all of whose chunks would seem to be missing."""
    folder = kvstore["path"]
    if kvstore["driver"] != "file" or not os.path.isdir(folder):  # noqa: PTH112  # TensorStore's own spelling
        return
    with os.scandir(folder) as entries:
        names = [entry.name for entry in islice(entries, _ENOUGH)]
    packed = next((name for name in names if name.endswith(_PACKED)), None)
    if packed is not None:
        raise SourceError(
            "chunks that are packed as files of their own are not read",
            got=packed,
            expected=packed.rpartition(".")[0],
            where=where,
            hint="unpack them, or read them from a server that names their encoding; CloudVolume writes plain ones with `compress=False`",
        )


def _open_tensorstore(
    kvstore: Mapping[str, Any], level: int, *, one_channel: bool, fill: bool
) -> Any:
    import tensorstore as ts  # heavy

    driver = "neuroglancer_precomputed"
    array = tensorstores.open_array(driver, kvstore, fill=fill, scale_index=level)
    array = array[..., 0] if one_channel else array
    return array.T[ts.d[:].translate_to[0]]


def _stored(info: Mapping[str, Any], scale: Mapping[str, Any]) -> Stored:
    """Read one scale; the format lists x first, and its lengths are nanometres."""
    kind, channels = info["type"], info.get("num_channels", 1)
    if kind not in _KINDS:
        raise ValueError(f"type {kind!r}, not {' or '.join(_KINDS)}")
    if info["data_type"].lower() not in _NUMBERS:
        raise ValueError(f"data_type {info['data_type']!r}")
    (channels,) = integers([channels], least=1)
    several = channels > 1
    resolution = Coordinate(scale["resolution"][::-1])
    first = integers_of_any_sign(scale.get("voxel_offset", [0, 0, 0]))[::-1]
    shape = integers(scale["size"], least=0)[::-1]
    chunk = integers(scale["chunk_sizes"][0], least=1)[::-1]
    if not len(resolution) == len(first) == len(shape) == len(chunk) == 3:
        raise ValueError("a scale that is not of three axes")
    return Stored(
        shape=((channels,) if several else ()) + shape,
        dtype=np.dtype(info["data_type"].lower()),
        chunk_shape=((channels,) if several else ()) + chunk,
        axes=(("c",) if several else ()) + ("z", "y", "x"),
        voxel_size=resolution,
        offset=resolution * Coordinate(first),
        units=("nm",) * 3,
        kind=_KINDS[kind],
        attrs=plain_json({k: v for k, v in info.items() if k not in ("scales", "@type")}),
    )


def _key(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a key {value!r} where the name of a folder is expected")
    return value


def integers_of_any_sign(values: Any) -> tuple[int, ...]:
    """Give a list of JSON as integers, or raise ValueError."""
    if any(isinstance(n, bool) or not isinstance(n, int) for n in values):
        raise ValueError(f"{values} where integers are expected")
    return tuple(values)
