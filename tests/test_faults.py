"""Bits that flip, files that are cut off or lost: every fault in what we write is an error when it is read.

The page on faults has the figures of a thousand flipped bits each; ``python -m benchmarks.faults`` makes them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # `benchmarks` is not installed

from benchmarks import faults  # noqa: E402  # behind the above

WAYS = faults.ways()
OURS = [way for way in WAYS if way.name.startswith("OME-Zarr")]
THEIRS = [way for way in WAYS if way.name.startswith("zarr-python")]


@pytest.mark.parametrize("way", OURS, ids=lambda way: way.name)
def test_every_fault_in_what_we_write_is_an_error(tmp_path, way):
    assert faults.outcomes(way, tmp_path / "a", 20, faults.flip).wrong == 0
    assert faults.outcomes(way, tmp_path / "b", 10, faults.cut_or_lose) == (10, 0, 0)


@pytest.mark.parametrize("way", OURS[:2], ids=lambda way: way.name)
def test_with_a_checksum_over_all_that_is_stored_no_bit_escapes(tmp_path, way):
    assert faults.outcomes(way, tmp_path / "a", 40, faults.flip) == (40, 0, 0)


@pytest.mark.parametrize("way", THEIRS, ids=lambda way: way.name)
def test_what_has_no_checksums_is_read_wrong(tmp_path, way):
    """Else the test above would say nothing."""
    assert faults.outcomes(way, tmp_path / "a", 30, faults.flip).wrong > 10
    assert faults.outcomes(way, tmp_path / "b", 30, faults.cut_or_lose).wrong > 5


def test_damaged_metadata_are_an_error_or_change_little(tmp_path):
    found = faults.outcomes(OURS[0], tmp_path / "a", 100, faults.flip, faults.metadata_files)
    assert found.errors > 80
    assert sum(found) == 100


def test_what_is_damaged_is_what_is_told_apart(tmp_path):
    path = OURS[0].write(tmp_path)
    chunks, metadata = faults.chunk_files(path), faults.metadata_files(path)
    assert len(chunks) == 2 * 4 * 4
    assert sorted(file.name for file in metadata) == [
        "dacapo_like.manifest.json",
        "zarr.json",
        "zarr.json",
    ]
    about, voxels = OURS[0].read(path)
    np.testing.assert_array_equal(voxels, faults.volume())
    assert about.units == ("nanometer",) * 3
