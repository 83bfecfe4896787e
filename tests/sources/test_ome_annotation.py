"""What OME-TIFF has no place for comes back from the annotation, and what was changed since is believed."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
import tifffile

import dacapo_like
from dacapo_like.errors import SourceError


def example(*, channels=1, **fields):
    voxels = np.random.default_rng(0).integers(0, 9, (channels, 3, 8, 9), "uint32")
    given = {"voxel_size": (Fraction(1, 3), 9.8, 0.7), "offset": (Fraction(-1, 3), 0, 2**53 + 1)}
    return dacapo_like.from_numpy(voxels, axes="czyx", **(given | fields))


def opened(path):
    return dacapo_like.TiffArrayConfig(file_name=str(path)).array()


def rewritten(path, pattern, text):
    """Replace a part of the metadata by another."""
    found = tifffile.tiffcomment(path)
    changed = re.sub(pattern, text, found)
    assert changed != found
    tifffile.tiffcomment(path, changed.encode())
    return path


def test_a_round_trip_loses_nothing(tmp_path):
    turned = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0].tolist()
    array = example(units=("nm", None, "px"), kind="image", directions=turned)
    again = opened(array.to_tiff(tmp_path / "a.tif"))
    for field in ("axes", "shape", "dtype", "voxel_size", "offset", "units", "kind", "directions"):
        assert getattr(again.spec, field) == getattr(array.spec, field), field
    np.testing.assert_array_equal(again.read(), array.read())


def test_a_size_that_was_changed_since_is_believed(tmp_path):
    path = example(units="nm").to_tiff(tmp_path / "a.tif")
    again = opened(rewritten(path, r'PhysicalSizeX="0.7"', 'PhysicalSizeX="0.8"'))
    assert again.spec.voxel_size[1:] == (Fraction("9.8"), Fraction("0.8"))
    assert again.spec.offset == example().spec.offset


def test_axes_that_were_changed_since_are_believed(tmp_path):
    array = example(channels=2, voxel_size=(1, 2, 3), offset=(5, 5, 5))
    path = array.to_tiff(tmp_path / "a.tif")
    rewritten(path, r"c\^", "t^")
    assert opened(path).spec.offset == (0, 0, 0)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r'\{"axis_names', '{"axis_names'[1:]),
        (r'"offset": \[', '"offset": ["x", '),
        (r'"kind": "labels"', '"kind": "photo"'),
        (r'"voxel_size": \[', '"voxel_size": [1, 1, '),
    ],
)
def test_damaged_annotations_are_refused(tmp_path, pattern, text):
    path = example().to_tiff(tmp_path / "a.tif")
    with pytest.raises(SourceError) as caught:
        opened(rewritten(path, pattern, text))
    assert str(path) in str(caught.value)


def test_annotations_of_others_mean_nothing(tmp_path):
    path = example(voxel_size=(1, 2, 3), offset=(5, 5, 5)).to_tiff(tmp_path / "a.tif")
    assert opened(rewritten(path, 'Namespace="dacapo_like"', 'Namespace="other"')).offset == (
        0,
        0,
        0,
    )
