"""HDF5 as h5py reads it."""

from __future__ import annotations

import json
from fractions import Fraction

import h5py
import numpy as np
import pytest

import dacapo_like
from dacapo_like.errors import ConfigError
from dacapo_like.geometry import blocks_of
from dacapo_like.spec import from_shape
from dacapo_like.writers.hdf5 import HDF5Writer


def example(shape=(3, 20, 21, 22), dtype="uint64", **fields):
    data = np.random.default_rng(1).integers(0, 100, shape).astype(dtype)
    given = {
        "axes": "czyx",
        "voxel_size": (25, 9.8, 0.7),
        "offset": (-50, 9.8, 1.4),
        "units": "nm",
    }
    return dacapo_like.from_numpy(data, **(given | fields))


def opened(path, **fields):
    return dacapo_like.HDF5ArrayConfig(file_name=str(path), **fields).array()


def test_other_programs_find_what_they_look_for(tmp_path):
    path = example(channels=("a", "b", "c")).to_hdf5(
        tmp_path / "a.hdf", dataset="/volumes/raw", chunks=(2, 8, 8, 99)
    )
    with h5py.File(path) as file:
        dataset = file["volumes/raw"]
        assert (dataset.chunks, dataset.compression, dataset.shuffle) == (
            (2, 8, 8, 22),
            "gzip",
            True,
        )
        assert list(dataset.attrs["resolution"]) == [25, 9.8, 0.7]
        assert list(dataset.attrs["voxel_size"]) == [25, 9.8, 0.7]
        assert list(dataset.attrs["offset"]) == [-50, 9.8, 1.4]
        assert list(dataset.attrs["axis_names"]) == ["c^", "z", "y", "x"]
        assert list(dataset.attrs["units"]) == ["nm"] * 3
        record = json.loads(dataset.attrs["dacapo_like"])
        assert (record["channels"], record["kind"]) == (["a", "b", "c"], "labels")


@pytest.mark.parametrize("compression", ["lzf", None])
def test_compression(tmp_path, compression):
    array = example()
    path = array.to_hdf5(tmp_path / "a.h5", compression=compression)
    with h5py.File(path) as file:
        assert file["data"].compression == compression
        np.testing.assert_array_equal(file["data"], array.read())
    with pytest.raises(ConfigError, match="expected one of gzip, lzf, null"):
        array.to_hdf5(tmp_path / "b.h5", compression="zip")


@pytest.mark.parametrize("dataset", ["", "/", "a/../b"])
def test_paths_that_name_no_dataset_are_refused(tmp_path, dataset):
    with pytest.raises(ConfigError, match="not a path of a dataset"):
        example().to_hdf5(tmp_path / "a.h5", dataset=dataset)
    assert list(tmp_path.iterdir()) == []


def test_a_round_trip_loses_nothing(tmp_path):
    turned = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    array = example(
        dtype="bool",
        voxel_size=(Fraction(1, 3), 9.8, Fraction(7, 11)),
        offset=(Fraction(10, 3), 2**53 + 1, -7),
        units=("nm", None, "px"),
        channels=("a", "b", "µ"),
        kind="labels",
        anchor="corner",
        directions=turned.tolist(),
    )
    again = opened(array.to_hdf5(tmp_path / "a.h5"))
    for field in (
        "axes",
        "shape",
        "dtype",
        "voxel_size",
        "units",
        "channels",
        "kind",
        "directions",
    ):
        assert getattr(again.spec, field) == getattr(array.spec, field), field
    np.testing.assert_array_equal(again.read(), array.read())


def test_the_document_is_kept(tmp_path, configs):
    array = dacapo_like.open_array(configs / "em_training.yaml", "left_half")
    path = array.to_hdf5(tmp_path / "a.h5")
    with h5py.File(path) as file:
        record = json.loads(file["data"].attrs["dacapo_like"])
    assert dacapo_like.load(record["attributes"]["config"]) == array.config


def test_records_longer_than_an_attribute_of_hdf5(tmp_path):
    array = example()
    text = "x" * 10**6
    with HDF5Writer(tmp_path / "a.h5", array.spec, attributes={"note": text}) as writer:
        for box in reversed(list(blocks_of(array.shape, writer.block_shape))):
            writer.write(box, array.read_box(box))
    with h5py.File(tmp_path / "a.h5") as file:
        assert json.loads(file["data"].attrs["dacapo_like"])["attributes"]["note"] == text
    with pytest.raises(ConfigError, match="not JSON"):
        HDF5Writer(tmp_path / "b.h5", array.spec, attributes={"note": float("nan")})
    assert [item.name for item in tmp_path.iterdir()] == ["a.h5"]


def test_a_record_of_ours_that_was_damaged_is_refused(tmp_path):
    path = example().to_hdf5(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["data"].attrs["dacapo_like"] = "{no JSON"
    with pytest.raises(OSError, match="not what this package writes"):
        opened(path)


def test_chunks_of_a_compressed_stream_are_not_taken_over(tmp_path):
    spec = from_shape((300, 400, 500)).replace(chunk_shape=(300, 400, 500))
    writer = HDF5Writer(tmp_path / "a.h5", spec)
    assert writer.block_shape == (64, 64, 64)
    writer.abort()
    assert list(tmp_path.iterdir()) == []
