"""Metadata documents of Zarr 2 and 3: groups, arrays, and how their chunks are compressed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import attrs
import numpy as np

from dacapo_like.errors import ConfigError, SpecError, did_you_mean
from dacapo_like.spec import ArraySpec

ZarrFormat = Literal[2, 3]
Codec = Literal["zstd", "blosc", "gzip"]

_LEVELS: dict[str, tuple[int, int]] = {"zstd": (3, 22), "blosc": (5, 9), "gzip": (5, 9)}
"""By default, and at most."""

_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}
_CRC32C = {"name": "crc32c"}


@attrs.frozen
class Compression:
    """How chunks are compressed.

    Attributes
    ----------
    codec : {"zstd", "blosc", "gzip"} or None
        ``blosc`` shuffles bytes and then uses zstd.
    level : int
        0 for none to the codec's most.
    checksum : bool
        Whether a flipped bit is found when a chunk is read. Zarr 2 has no place for it but in what zstd and gzip make themselves: there
        they always have it.
    """

    codec: Codec | None
    level: int
    checksum: bool = True

    @classmethod
    def of(cls, codec: str | None, level: int | None, *, checksum: bool) -> Compression:
        """Check what was asked for.

        Raises
        ------
        ConfigError
            There is no such codec, or no such level.
        """
        if codec in (None, "none"):
            return cls(None, 0, checksum)
        if codec not in _LEVELS:
            raise ConfigError(
                "unknown compression",
                got=codec,
                expected=f"{', '.join(get_args(Codec))} or none",
                hint=did_you_mean(str(codec), get_args(Codec)),
                key=("compression",),
            )
        usual, most = _LEVELS[codec]
        if level is not None and not 0 <= level <= most:
            raise ConfigError(
                f"{codec} has no such level",
                got=level,
                expected=f"0 to {most}",
                key=("compression_level",),
            )
        return cls(codec, usual if level is None else level, checksum)  # type: ignore[arg-type]  # looked up above

    def codecs(self, dtype: np.dtype[Any]) -> list[dict[str, Any]]:
        """Give the codecs of a chunk in Zarr 3."""
        found: list[dict[str, Any]] = [_LITTLE]
        if (
            self.codec == "zstd"
        ):  # its own checksum is of the voxels: it misses bits that change none of them
            settings: dict[str, Any] = {"level": self.level, "checksum": False}
            found.append({"name": "zstd", "configuration": settings})
        elif self.codec == "blosc":
            settings = self._blosc | {
                "shuffle": "shuffle" if dtype.itemsize > 1 else "bitshuffle",
                "typesize": dtype.itemsize,
            }
            found.append({"name": "blosc", "configuration": settings})
        elif self.codec == "gzip":  # its end is a checksum
            return [_LITTLE, {"name": "gzip", "configuration": {"level": self.level}}]
        return [*found, _CRC32C] if self.checksum else found

    def compressor(self, dtype: np.dtype[Any]) -> dict[str, Any] | None:
        """Give the compressor of a chunk in Zarr 2."""
        if self.codec is None:
            return None
        if self.codec == "blosc":
            return {"id": "blosc", **self._blosc, "shuffle": 1 if dtype.itemsize > 1 else 2}
        return {"id": self.codec, "level": self.level}

    @property
    def _blosc(self) -> dict[str, Any]:
        return {"cname": "zstd", "clevel": self.level, "blocksize": 0}


def write_group(folder: Path, zarr_format: ZarrFormat, attributes: Mapping[str, Any]) -> None:
    """Make a group.

    Raises
    ------
    ConfigError
        The attributes are not JSON.
    OSError
        It cannot be written.
    """
    try:
        text = json.dumps(attributes, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError("attributes to keep are not JSON", got=error) from error
    folder.mkdir(parents=True)
    if zarr_format == 2:
        (folder / ".zgroup").write_text(json.dumps({"zarr_format": 2}))
        (folder / ".zattrs").write_text(text)
        return
    (folder / "zarr.json").write_text(json.dumps(group_document(json.loads(text)), indent=2))


def write_array(
    folder: Path,
    zarr_format: ZarrFormat,
    spec: ArraySpec,
    names: list[str],
    chunks: tuple[int, ...],
    shards: tuple[int, ...],
    compression: Compression,
) -> None:
    """Make an array without voxels; `names` are those of its dimensions, `shards` equal `chunks` where there are none.

    Raises
    ------
    SpecError
        The format has no such voxels.
    OSError
        It cannot be written.
    """
    if spec.dtype.kind not in "biuf" or spec.dtype.itemsize > 8:
        raise SpecError(
            "Zarr has no such voxels", got=spec.dtype, expected="bool, integer or float"
        )
    folder.mkdir(parents=True)
    if zarr_format == 2:
        document = {
            "zarr_format": 2,
            "shape": spec.shape,
            "fill_value": _fill_value(spec),
            "chunks": chunks,
            "dtype": spec.dtype.newbyteorder("<").str,
            "compressor": compression.compressor(spec.dtype),
            "filters": None,
            "order": "C",
            "dimension_separator": "/",
        }
        (folder / ".zarray").write_text(json.dumps(document, indent=2))
        (folder / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": names}))
        return
    codecs = compression.codecs(spec.dtype)
    if shards != chunks:
        codecs = [_sharding(chunks, codecs)]
    document = array_document(spec, names, shards, codecs)
    (folder / "zarr.json").write_text(json.dumps(document, indent=2))


def group_document(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Give the metadata of a group in Zarr 3."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}


def array_document(
    spec: ArraySpec,
    names: list[str],
    chunks: tuple[int, ...],
    codecs: Sequence[Mapping[str, Any]] = (_LITTLE,),
) -> dict[str, Any]:
    """Give the metadata of an array in Zarr 3; `names` are those of its dimensions, its chunks by default not compressed."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": spec.shape,
        "data_type": spec.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _fill_value(spec),
        "codecs": list(codecs),
        "dimension_names": names,
        "attributes": {},
    }


def _fill_value(spec: ArraySpec) -> bool | int:
    return False if spec.dtype.kind == "b" else 0


def _sharding(chunks: tuple[int, ...], codecs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "sharding_indexed",
        "configuration": {
            "chunk_shape": chunks,
            "codecs": codecs,
            "index_codecs": [_LITTLE, _CRC32C],
            "index_location": "end",
        },
    }
