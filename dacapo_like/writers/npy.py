"""numpy's own ``.npy``: voxels, and nothing else."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like.geometry import Box
from dacapo_like.spec import ArraySpec
from dacapo_like.writers.base import Writer, writes
from dacapo_like.writers.checks import check_dtype, check_voxels, warn_of_losses
from dacapo_like.writers.chunking import slab_shape


@writes(".npy")
class NpyWriter(Writer):
    """Writes one array as ``.npy``, which `numpy.load` maps into memory.

    The format keeps voxels only: a `DataWarning` names what else the array has.

    Parameters
    ----------
    path : str or Path
        Of the file.
    spec : ArraySpec
        Of the array.
    **options
        As of every `Writer`.

    Examples
    --------
    >>> import tempfile
    >>> from dacapo_like.spec import from_shape
    >>> spec = from_shape((2, 3), "uint8")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with NpyWriter(f"{folder}/a.npy", spec) as writer:
    ...         writer.write(spec.box, np.ones(spec.shape, spec.dtype))
    ...     np.load(f"{folder}/a.npy").tolist()
    [[1, 1, 1], [1, 1, 1]]
    """

    def __init__(self, path: str | os.PathLike[str], spec: ArraySpec, **options: Any) -> None:
        check_voxels(spec)
        check_dtype(spec, {}, ".npy")
        super().__init__(path, spec, **options)
        warn_of_losses(spec, ".npy", str(self.path))
        self.block_shape = slab_shape(spec)
        try:
            self._voxels: Any = self._create()
        except OSError as error:
            self._partial.unlink(missing_ok=True)
            raise self._failure("cannot write here", error) from error

    def _create(self) -> Any:
        """Map a new file whose place on the disk is taken: a page that has none would end the process."""
        header = {
            "descr": self.spec.dtype.newbyteorder("<").str,
            "fortran_order": False,
            "shape": self.spec.shape,
        }
        with self._partial.open("xb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            os.posix_fallocate(file.fileno(), 0, file.tell() + self.spec.nbytes)
        return np.lib.format.open_memmap(self._partial, "r+")

    def _write(self, box: Box, data: NDArray[Any]) -> None:
        self._voxels[box.slices] = data

    def _close(self, *, complete: bool) -> None:
        if complete and self._voxels is not None:
            self._voxels.flush()
        self._voxels = None
