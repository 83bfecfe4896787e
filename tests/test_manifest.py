"""Which files were written: against sets of indices."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.errors import SourceError
from dacapo_like.geometry import Box
from dacapo_like.manifest import Manifest


@st.composite
def manifests(draw):
    """Make the shape of an array, that of its files, and the indices of those that were written."""
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    file_shape = tuple(draw(st.integers(1, 4)) for _ in shape)
    counts = [-(-n // size) for n, size in zip(shape, file_shape, strict=True)]
    indices = list(product(*map(range, counts)))
    written = draw(st.sets(st.sampled_from(indices)))
    return shape, file_shape, written


@given(manifests())
def test_it_comes_back_as_it_was(case):
    shape, file_shape, written = case
    manifest = Manifest.of(shape, file_shape, written)
    again = Manifest.parse(manifest.dump(), shape, "a.zarr")
    assert again.file_shape == file_shape
    assert {tuple(map(int, index)) for index in np.argwhere(again.written)} == written


@given(manifests(), st.data())
def test_a_box_is_asked_of_every_voxel(case, data):
    shape, file_shape, written = case
    starts = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    counts = tuple(data.draw(st.integers(1, n - s)) for n, s in zip(shape, starts, strict=True))
    box = Box(starts, counts)
    manifest = Manifest.of(shape, file_shape, written)
    touched = {
        tuple(int(i) // n for i, n in zip(voxel, file_shape, strict=True))
        for voxel in np.argwhere(np.ones(counts)) + starts
    }
    found = list(manifest.files_written(box))
    assert sorted(found) == sorted(touched & written)


def test_a_million_files_take_little():
    manifest = Manifest.of((1000, 1000, 1), (1, 1, 1), [(3, 4, 0)])
    assert len(manifest.dump()) < 1000
    assert len(Manifest.of((1000, 1000), (1, 1), np.ndindex(1000, 1000)).dump()) < 1000


GOOD = Manifest.of((5, 5), (2, 4), [(0, 0)])


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"file_shape": [2]},
        {"file_shape": [0, 4]},
        {"file_shape": 7},
        {"files": [3, 3]},
        {"written": "####"},
        {"written": ""},
        {"written": None},
        {"written": json.loads(Manifest.of((500, 5), (2, 4), []).dump())["written"]},
    ],
)
def test_what_is_no_manifest_is_refused(changes):
    document = json.loads(GOOD.dump()) | changes
    with pytest.raises(SourceError, match="list of written chunks is corrupt") as error:
        Manifest.parse(json.dumps(document), (5, 5), "a.zarr")
    assert error.value.where == "a.zarr"


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_other_text_is_refused(text):
    with pytest.raises(SourceError, match="corrupt"):
        Manifest.parse(text, (5, 5), "a.zarr")


def test_the_manifest_of_another_array_is_refused():
    with pytest.raises(SourceError, match="corrupt"):
        Manifest.parse(GOOD.dump(), (50, 50), "a.zarr")
