"""`.npy` as numpy reads it."""

from __future__ import annotations

import numpy as np
import pytest

import dacapo_like
from dacapo_like.errors import DataWarning
from dacapo_like.writers import chunking


def test_numpy_maps_it(tmp_path, monkeypatch):
    monkeypatch.setattr(chunking, "_SLAB", 300)
    data = np.random.default_rng(0).random((7, 9, 11), "float32")
    path = dacapo_like.from_numpy(data).to_npy(tmp_path / "a.npy")
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    assert (mapped.dtype.str, mapped.flags.c_contiguous) == ("<f4", True)
    np.testing.assert_array_equal(mapped, data)
    assert path.stat().st_size == mapped.offset + data.nbytes


def test_what_is_lost_is_said_as_a_config_says_it(tmp_path):
    array = dacapo_like.from_numpy(
        np.zeros((2, 4, 4, 4)), axes="czyx", voxel_size=(9.8, 4, 4), units="nm", channels=("a", "b")
    )
    with pytest.warns(DataWarning) as caught:
        array.to_npy(tmp_path / "a.npy")
    (warning,) = caught
    for part in ("axes: [c, z, y, x]", "voxel_size: [9.8, 4, 4]", "units: [nm, nm, nm]", "a, b"):
        assert part in str(warning.message)
    assert "offset" not in str(warning.message)
