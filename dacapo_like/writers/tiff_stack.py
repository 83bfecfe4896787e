"""Folders of TIFF files, one for each plane."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

from numpy.typing import NDArray

from dacapo_like.errors import ConfigError
from dacapo_like.geometry import Box, box_between
from dacapo_like.spec import ArraySpec
from dacapo_like.writers.base import Writer
from dacapo_like.writers.checks import (
    check_axes,
    check_dtype,
    check_voxels,
    choice,
    warn_of_losses,
)
from dacapo_like.writers.tiff import COMPRESSIONS, Compression, page_options


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Whether a path names many files, as ``out/z{z:04d}_c{c}.tif`` does."""
    return "{" in os.fspath(path)


class TiffStackWriter(Writer):
    """Writes one array as a folder of TIFF files with one page each, in any order.

    Parameters
    ----------
    path : str or Path
        Pattern of the files' paths, with the index along every axis before y: ``out/t{t}_z{z:04d}_c{c}.tif``. The first folder
        of it that is no pattern is made as a whole, and replaced as a whole where `overwrite` says so and it holds such
        files only.
    spec : ArraySpec
        Of the array. Voxels are neither rescaled nor converted; a `DataWarning` names what such files do not keep.
    compression : {"zlib", None}
        Lossless.
    **options
        As of every `Writer`.

    Raises
    ------
    ConfigError
        The pattern does not name each plane.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from dacapo_like.spec import from_shape
    >>> spec = from_shape((2, 8, 8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with TiffStackWriter(f"{folder}/stack/z{{z:02d}}.tif", spec) as writer:
    ...         writer.write(spec.box, np.ones(spec.shape, spec.dtype))
    ...     sorted(os.listdir(f"{folder}/stack"))
    ['z00.tif', 'z01.tif']
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        spec: ArraySpec,
        *,
        compression: Compression = "zlib",
        **options: Any,
    ) -> None:
        check_voxels(spec)
        check_axes(spec, "tc", (2, 3), "a stack of TIFF files")
        check_dtype(spec, {"bool": "uint8"}, "TIFF")
        choice("compression", compression, COMPRESSIONS)
        folder, self._pattern = _split(Path(path))
        _check_pattern(self._pattern, spec.axes[:-2])
        super().__init__(folder, spec, **options)
        warn_of_losses(spec, "a stack of TIFF files", os.fspath(path))
        self.block_shape = (1,) * (spec.ndim - 2) + spec.shape[-2:]
        self._options = page_options(compression)

    def _write(self, box: Box, data: NDArray[Any]) -> None:
        import tifffile  # heavy

        for plane in _planes(box):
            index = dict(zip(self.spec.axes[:-2], plane.offset, strict=False))
            file = self._partial / self._pattern.format(**index)
            page = data[plane.slices_in(box)].reshape(plane.shape[-2:])
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(file, page, **self._options)
            except OSError as error:
                raise self._failure(f"cannot write {file.name}", error) from error

    def _close(self, *, complete: bool) -> None:
        """Nothing is open."""

    def _is_replaceable(self) -> bool:
        """Whether the folder holds files of the pattern and no others."""
        parts = Formatter().parse(self._pattern)
        known = re.compile(
            "".join(re.escape(text) + ("" if name is None else r"\d+") for text, name, *_ in parts)
        )
        files = (item for item in self.path.rglob("*") if not item.is_dir())
        return self.path.is_dir() and all(
            known.fullmatch(file.relative_to(self.path).as_posix()) for file in files
        )


def folder_of(path: str | os.PathLike[str]) -> Path:
    """Give the folder that a pattern makes."""
    return _split(Path(path))[0]


def _planes(box: Box) -> Iterator[Box]:
    """Walk over the planes of a box."""
    import numpy as np

    for index in np.ndindex(box.shape[:-2]):
        first = tuple(o + i for o, i in zip(box.offset, index, strict=False))
        yield box_between((*first, *box.offset[-2:]), (*(i + 1 for i in first), *box.end[-2:]))


def _split(path: Path) -> tuple[Path, str]:
    """Split a pattern behind the last folder before its first field."""
    parts = path.parts
    first = next(i for i, part in enumerate(parts) if "{" in part)
    if not first:
        raise ConfigError(
            "a stack of TIFF files needs a folder of its own",
            got=path,
            expected="a pattern such as stack/z{z:04d}.tif",
        )
    return Path(*parts[:first]), Path(*parts[first:]).as_posix()


def _check_pattern(pattern: str, axes: tuple[str, ...]) -> None:
    """Refuse a pattern that has no name for some plane, or one name for several, or makes no TIFF files.

    Raises
    ------
    ConfigError
        It is such a pattern.
    """
    expected = f"a name that ends in .tif, with {' and '.join(f'{{{axis}}}' for axis in axes)}"
    try:
        named = {name for _, name, *_ in Formatter().parse(pattern) if name is not None}
        first = pattern.format(**dict.fromkeys(axes, 0))
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise ConfigError("no pattern of file names", got=pattern, expected=expected) from error
    if named != set(axes) or not first.lower().endswith((".tif", ".tiff")):
        raise ConfigError("the pattern does not fit the array", got=pattern, expected=expected)
