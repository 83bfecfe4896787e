"""What `verify --deep` says of voxels, against voxels that were made to be so."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import dacapo_like
from dacapo_like.config.survey import Questions, survey
from dacapo_like.geometry import blocks_of


@pytest.fixture
def stored(tmp_path):
    """Give a function that stores an array, and the document that reads it."""

    def store(data, name="a", **fields):
        data = np.asarray(data)
        array = zarr.create_array(
            tmp_path / "em.zarr",
            name=name,
            shape=data.shape,
            dtype=data.dtype,
            chunks=(4,) * data.ndim,
        )
        array[...] = data
        return {"type": "zarr", "file_name": str(tmp_path / "em.zarr"), "dataset": name, **fields}

    return store


def deep(document):
    return [(p.code, p.key) for p in dacapo_like.verify(document, deep=True)]


RAMP = np.arange(64, dtype="uint8").reshape(8, 8)


def test_voxels_that_are_as_they_should_be(stored):
    labels = stored(RAMP, "labels", kind="labels")
    document = {
        "arrays": {
            "raw": {"type": "intensities", "source": stored(RAMP), "min": 0, "max": 63},
            "gt": {"type": "binarize", "source": labels, "groupings": {"a": [1, 63], "any": []}},
        }
    }
    assert deep(document) == []


def test_labels_that_never_occur_are_named_by_group(stored):
    document = {
        "type": "binarize",
        "source": stored(RAMP, kind="labels"),
        "groupings": {"here": [5], "gone": [5, 64, 1000, 2**63], "any": []},
    }
    assert dacapo_like.verify(document) == []
    (problem,) = dacapo_like.verify(document, deep=True)
    assert (problem.code, problem.key, problem.severity) == ("DL411", "groupings.gone", "warning")
    assert "3 of the 4 labels of group 'gone'" in problem.message
    assert problem.message.endswith("64, 1000, 9223372036854775808")


def test_long_lists_of_labels_are_cut(stored):
    gone = list(range(100, 150))
    document = {"type": "binarize", "source": stored(RAMP), "groupings": {"gone": gone}}
    (problem,) = dacapo_like.verify(document, deep=True)
    assert problem.message.endswith("108, 109, …")


def test_labels_are_looked_for_in_what_is_binarized_not_in_its_source(stored):
    cropped = {
        "type": "crop",
        "source": stored(RAMP),
        "roi": {"offset": [0, 0], "shape": [4, 8]},
    }
    document = {"type": "missing_annotations_mask", "source": cropped, "groupings": {"a": [40]}}
    assert deep(document) == [("DL411", "groupings.a")]


@pytest.mark.parametrize(
    ("data", "fields", "codes"),
    [
        (np.full((8, 8), 7, "uint8"), {}, ["DL412"]),
        (np.zeros((8, 8), "float32"), {}, ["DL412"]),
        (np.zeros((8, 8), "uint32"), {"kind": "labels"}, ["DL412"]),
        (np.zeros((8, 8), "uint8"), {"kind": "mask"}, ["DL412"]),
        (np.full((8, 8), 7, "uint32"), {"kind": "labels"}, []),
        (np.ones((8, 8), "uint8"), {"kind": "mask"}, []),
        (np.ones((1, 1), "uint8"), {}, []),
        (RAMP, {}, []),
        (np.where(RAMP == 9, np.nan, RAMP), {}, ["DL413"]),
        (np.where(RAMP == 9, np.inf, RAMP).astype("float32"), {}, ["DL413"]),
        (np.full((8, 8), np.nan), {}, ["DL413"]),
    ],
)
def test_constant_and_not_finite_voxels(stored, data, fields, codes):
    assert [code for code, _ in deep(stored(data, **fields))] == codes


def test_not_finite_voxels_are_counted(stored):
    data = RAMP.astype("float32")
    data[2, 3:5] = np.nan, -np.inf
    (problem,) = dacapo_like.verify(stored(data), deep=True)
    assert problem.message == "voxels that are NaN or infinite: 2 of 64"


@pytest.mark.parametrize(
    ("low", "high", "clip", "codes"),
    [
        (0, 63, False, []),
        (63, 0, False, []),
        (0, 20, False, ["DL414"]),
        (20, 0, False, ["DL414"]),
        (20, 63, False, ["DL414"]),
        (0, 20, True, []),
        (-1000, 1000, False, []),
    ],
)
def test_intensities_outside_of_their_range(stored, low, high, clip, codes):
    document = {"type": "intensities", "source": stored(RAMP), "min": low, "max": high}
    found = dacapo_like.verify({**document, "clip": clip}, deep=True)
    assert [problem.code for problem in found] == codes
    if codes and (low, high) == (0, 20):
        assert "67.2 %" in found[0].message
        assert found[0].message.endswith("they are from 0 to 63")


def test_a_few_bright_voxels_are_no_matter(stored):
    data = np.zeros((16, 16), "uint16")
    data[0, :3] = 1, 60000, 60000  # 0.8 %
    document = {"type": "intensities", "source": stored(data), "min": 0, "max": 255}
    assert deep(document) == []
    data[1, 0] = 60000  # 1.2 %
    document["source"] = stored(data, "b")
    assert deep(document) == [("DL414", "")]


def test_what_cannot_be_read_is_said_once_and_nothing_else_is_guessed(stored, tmp_path):
    source = stored(RAMP, kind="labels")
    for chunk in (tmp_path / "em.zarr" / "a" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"\xff")
    document = {"type": "binarize", "source": source, "groupings": {"a": [64], "b": [65]}}
    problems = dacapo_like.verify(document, deep=True)
    assert [(problem.code, problem.key) for problem in problems] == [("DL301", "source")] * 4


def test_more_than_twenty_bad_chunks_are_counted(stored, tmp_path):
    document = stored(np.ones((32, 16), "uint8") * np.arange(16, dtype="uint8"))
    for chunk in (tmp_path / "em.zarr" / "a" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"\xff")
    problems = dacapo_like.verify(document, deep=True)
    assert len(problems) == 21
    assert "12 more chunks cannot be read" in problems[-1].message


@given(
    arrays.arrays(
        st.sampled_from(["uint8", "int16", "uint64", "float32", "bool", "float16"]),
        arrays.array_shapes(min_dims=1, max_dims=3, max_side=6),
    ),
    st.sets(st.integers(-3, 300), max_size=6),
    st.integers(1, 5),
)
def test_block_by_block_is_as_all_at_once(data, labels, edge):
    array = dacapo_like.from_numpy(data)
    if data.dtype.kind == "f":
        labels = set()
    ranges = {(0.0, 1.0), (-5.5, 200.0)}
    boxes = blocks_of(array.shape, (edge,) * array.ndim)
    found = survey(array, Questions(labels, ranges), boxes)
    values = data.astype("float64").ravel()
    finite = values[np.isfinite(values)]
    assert found.not_finite == values.size - finite.size
    assert found.missing == labels - {int(value) for value in finite}
    if finite.size:
        assert (float(found.low), float(found.high)) == (finite.min(), finite.max())
    assert found.outside == {
        (low, high): int(((finite < low) | (finite > high)).sum()) for low, high in ranges
    }


def test_memory_is_that_of_a_block(tmp_path):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(256, 256, 256), chunks=(32, 256, 256), dtype="uint16"
    )
    array[100] = np.arange(2**16).reshape(256, 256)
    opened = dacapo_like.open_array({"type": "zarr", "file_name": str(tmp_path / "a.zarr")})
    with dacapo_like.using(cache_bytes=0):
        tracemalloc.start()
        boxes = list(blocks_of(opened.shape, (32, 256, 256)))
        found = survey(opened, Questions({1, 70000}, {(0, 9)}), boxes)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert found.missing == {70000}
    assert peak < 2 * 256**3 / 2  # half of the volume; a block is an eighth of it
