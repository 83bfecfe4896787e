"""What is written is what is read, wholly or not at all."""

from __future__ import annotations

import json
import threading
from typing import Any

import attrs
import numpy as np
import pytest
import zarr

import dacapo_like
from dacapo_like.core import Reader, SourceConfig
from dacapo_like.errors import ReadError, SourceError
from dacapo_like.materialize import materialize
from dacapo_like.spec import from_shape


@attrs.frozen(kw_only=True, eq=False, repr=False)
class BrokenConfig(SourceConfig):
    """A source half of which cannot be read."""

    def open(self) -> Reader:
        return _BrokenReader()


class _BrokenReader(Reader):
    spec = from_shape((8, 4))

    def __init__(self) -> None:
        self.started, self.failed = threading.Event(), threading.Event()

    def read(self, box: Any, out: Any = None) -> Any:
        """Fail on one of two blocks while the other, read by another thread, is still to be written."""
        if box.offset == (0, 0):
            self.started.set()
            assert self.failed.wait(60)
            return np.ones(box.shape, "uint8")
        assert self.started.wait(60)
        self.failed.set()
        raise ReadError("damaged", where="the disk")


@pytest.fixture
def array():
    data = np.random.default_rng(1).integers(0, 2**63, (3, 20, 21, 22), dtype="uint64")
    return dacapo_like.from_numpy(
        data, axes="czyx", voxel_size=(25, 9.8, 0.7), offset=(-50, 9.8, 1.4), units="nm"
    )


def test_what_is_written_reads_back_the_same_array(array, tmp_path):
    path = materialize(array, tmp_path / "a.zarr", chunks=(2, 8, 8, 8))
    again = dacapo_like.open_array({"type": "zarr", "file_name": str(path)})
    np.testing.assert_array_equal(again.read(), array.read())
    for field in ("axes", "shape", "dtype", "voxel_size", "offset", "kind"):
        assert getattr(again.spec, field) == getattr(array.spec, field)
    assert set(again.units) == {"nanometer"}
    assert again.chunks == (2, 8, 8, 8)


def test_a_copy_of_a_copy_does_not_move(array, tmp_path):
    path = materialize(array, tmp_path / "a.zarr")
    for i in range(3):
        path = materialize(
            dacapo_like.open_array({"type": "zarr", "file_name": str(path)}), tmp_path / f"{i}.zarr"
        )
    assert dacapo_like.open_array({"type": "zarr", "file_name": str(path)}).roi == array.roi


def test_the_document_is_kept_beside_the_voxels(configs, tmp_path):
    array = dacapo_like.open_array(configs / "em_training.yaml", "left_half")
    path = materialize(array, tmp_path / "a.zarr")
    kept = json.loads((path / "zarr.json").read_text())["attributes"]["dacapo_like"]["attributes"][
        "config"
    ]
    assert dacapo_like.load(kept) == array.config


def test_progress_counts_every_block_once(array, tmp_path):
    calls = []
    materialize(
        array,
        tmp_path / "a.zarr",
        chunks=(1, 10, 11, 22),
        progress=lambda *counts: calls.append(counts),
    )
    assert calls == [(i, 12) for i in range(13)]


def test_a_source_that_fails_leaves_nothing_behind(tmp_path):
    with pytest.raises(ReadError, match="damaged"):
        materialize(BrokenConfig().array(), tmp_path / "a.zarr", chunks=(4, 4))
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_is_there_is_replaced_only_where_asked(array, tmp_path):
    path = materialize(array, tmp_path / "a.zarr")
    ones = array.ones_like()
    with pytest.raises(SourceError, match="overwrite=True"):
        materialize(ones, path)
    with pytest.raises(ReadError, match="damaged"):
        materialize(BrokenConfig().array(), path, chunks=(4, 4), overwrite=True)
    np.testing.assert_array_equal(np.asarray(zarr.open_array(path / "0", mode="r")), array.read())
    materialize(ones, path, overwrite=True)
    assert np.unique(np.asarray(zarr.open_array(path / "0", mode="r"))).tolist() == [1]
    assert [item.name for item in tmp_path.iterdir()] == ["a.zarr"]


def test_channels_before_time_are_written_in_the_formats_order(tmp_path):
    data = np.random.default_rng(2).random((2, 3, 4, 5), dtype="float32")
    array = dacapo_like.from_numpy(data, axes=("c", "t", "y", "x"), channels=("a", "b"))
    path = materialize(array, tmp_path / "a.zarr")
    again = dacapo_like.open_array({"type": "zarr", "file_name": str(path)})
    assert again.axes == ("t", "c", "y", "x")
    assert again.channels == ("a", "b")
    np.testing.assert_array_equal(again.read(), data.transpose(1, 0, 2, 3))


def test_the_quickstart_is_valid_ome_zarr_and_others_read_the_same(configs, tmp_path):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader as OmeReader
    from ome_zarr_models.v05 import Image

    array = dacapo_like.open_array(configs / "quickstart.yaml", "composed")
    path = materialize(array, tmp_path / "composed.zarr")
    image = Image.from_zarr(zarr.open_group(path, mode="r"))
    (multiscale,) = image.ome_attributes.multiscales
    assert [(axis.name, axis.type, axis.unit) for axis in multiscale.axes] == [
        ("t", "time", None),
        ("c", "channel", None),
        *((name, "space", "millimeter") for name in "zyx"),
    ]
    labels = [channel["label"] for channel in image.ome_attributes.omero["channels"]]
    assert labels == list(array.channels)
    (node,) = OmeReader(parse_url(path))()
    scale, translation = node.metadata["coordinateTransformations"][0]
    size = [float(value) for value in array.spec.voxel_size]
    corner = [float(value) for value in array.spec.offset]
    assert scale["scale"] == [1, 1, *size]
    np.testing.assert_allclose(
        translation["translation"][2:], np.add(corner, np.divide(size, 2)), rtol=1e-12
    )
    np.testing.assert_array_equal(np.asarray(node.data[0]), array.read().swapaxes(0, 1))
    again = dacapo_like.open_array({"type": "zarr", "file_name": str(path)})
    assert again.roi == array.roi
    np.testing.assert_allclose(again.voxel_to_world, array.voxel_to_world, rtol=1e-12)
