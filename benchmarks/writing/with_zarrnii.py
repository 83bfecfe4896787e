"""Writes with ZarrNii, in an environment of its own (tests/peers/requirements-formats.txt)."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "tests" / "peers"))

from absent import do_without
from telling import OFFSET, SCALE, tell


def to_ome_zarr(raw: str, out: str, margin: int, chunk: int, levels: int) -> Callable[[], object]:
    do_without("PIL", "hdf5plugin", "itkwasm_downsample", "pandas", "requests", "wasmtime")
    import dask.array as da
    import numpy as np
    from zarrnii import ZarrNii

    def work() -> None:
        inner = da.from_zarr(raw)[(slice(margin, -margin),) * 3]
        stretched = da.rint((inner.astype("float32") - np.float32(OFFSET)) / np.float32(SCALE))
        composed = da.clip(stretched, 0, 255).astype("uint8").rechunk((chunk,) * 3)
        image = ZarrNii.from_darr(composed[None], spacing=(4, 4, 4), orientation="LPS")
        factors = [dict.fromkeys("zyx", 2**i) for i in range(1, levels)]
        image.to_ome_zarr(out, max_layer=levels, scale_factors=factors)

    return work


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # those of others
    tell({"ZarrNii, to_ome_zarr": to_ome_zarr})
