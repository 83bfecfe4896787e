"""Reads with DaCapo 0.3.0, in an environment of its own (tests/peers/requirements-dacapo.txt)."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[2] / "tests" / "peers"))

from run_dacapo import import_dacapo  # behind the above
from serving import Box, Reader, Voxels, one_by_one, serve


@functools.cache
def arrays_of_dacapo() -> Any:
    arrays, _ = import_dacapo()
    annotations = sys.modules["fibsem_tools.metadata.groundtruth"].LabelList
    annotations.parse_obj = (
        None  # it looks for it, and calls it where labels say what was annotated
    )
    return arrays


def parts(
    raw: str, labels: str, groups: Mapping[str, list[int]], margin: int, *, masks: bool = True
) -> Reader:
    """Read the parts of the composed tree and put them together.

    DaCapo's own concat takes sources of the same axes alone, so that an image and masks with channels do not fit into one.
    """
    from funlib.geometry import Coordinate, Roi

    a = arrays_of_dacapo()

    def stored(path: str) -> Any:
        return a.ZarrArrayConfig(
            name="stored",
            file_name=Path(path).parent,
            dataset=Path(path).name,
            axes=["z", "y", "x"],
        )

    whole = a.ZarrArray(stored(raw))
    size, groupings = whole.voxel_size, list(groups.items())
    inner = whole.roi.grow(-size * margin, -size * margin)
    cropped = a.CropArrayConfig("cropped", stored(raw), inner)
    configs = [
        a.IntensitiesArrayConfig("raw", cropped, 0, 255),
        a.BinarizeArrayConfig("groups", stored(labels), groupings),
    ]
    if masks:
        configs.append(a.MissingAnnotationsMaskConfig("known", stored(labels), groupings))
    arrays = [config.array_type(config) for config in configs]

    def read(box: Box) -> Voxels:
        roi = Roi(size * Coordinate(box.offset), size * Coordinate(box.shape))
        scaled, *channels = (array[roi] for array in arrays)
        return np.concatenate([scaled[None], *channels], dtype=np.float32)

    return one_by_one(read)


if __name__ == "__main__":
    serve({"DaCapo 0.3.0, its parts": parts}, ["dacapo-ml", "funlib.persistence", "zarr", "numpy"])
