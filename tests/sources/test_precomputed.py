"""Against volumes whose `info` and chunks are put together here from the text of the specification; sharded ones are TensorStore's."""

from __future__ import annotations

import gzip
import itertools
import json
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts
from web_server import WebServer, serving

from dacapo_like import PrecomputedArrayConfig, load, open_array, verify
from dacapo_like.errors import DataWarning, ReadError, SourceError
from dacapo_like.geometry import Coordinate
from dacapo_like.testing import ArrayContract, Case, sample_voxels

CHUNK = (6, 5, 4)  # x y z


def scale_of(shape, resolution, offset=(0, 0, 0), **more):
    """Describe a scale of a shape z y x; resolution and offset are x y z."""
    return {
        "key": "_".join(map(str, resolution)),
        "size": shape[::-1],
        "resolution": resolution,
        "voxel_offset": offset,
        "chunk_sizes": [CHUNK],
        "encoding": "raw",
        **more,
    }


def write_info(folder, scales, dtype="uint16", channels=1, kind="image", **more):
    folder.mkdir(parents=True, exist_ok=True)
    about = {"@type": "neuroglancer_multiscale_volume", "type": kind, "data_type": dtype}
    about |= {"num_channels": channels, "scales": scales, **more}
    (folder / "info").write_text(json.dumps(about))
    return folder


def write_chunks(folder, voxels, scale, skip=()):
    """Write voxels, c z y x or z y x, as raw chunks: x is fastest, channels are slowest."""
    data = voxels if voxels.ndim == 4 else voxels[None]
    size, first = scale["size"], scale["voxel_offset"]
    (folder / scale["key"]).mkdir()
    for index in itertools.product(*(range(-(-n // c)) for n, c in zip(size, CHUNK, strict=True))):
        if index in skip:
            continue
        spans = [(i * c, min(i * c + c, n)) for i, c, n in zip(index, CHUNK, size, strict=True)]
        x, y, z = (slice(*span) for span in spans)
        name = "_".join(f"{a + o}-{b + o}" for (a, b), o in zip(spans, first, strict=True))
        part = data[:, z, y, x]
        body = part.astype(part.dtype.newbyteorder("<")).tobytes()
        (folder / scale["key"] / name).write_bytes(body)


def write(folder, voxels, resolution=(4, 4, 40), offset=(0, 0, 0), *, skip=(), **info):
    scale = scale_of(voxels.shape[-3:], resolution, offset)
    channels = voxels.shape[0] if voxels.ndim == 4 else 1
    write_info(folder, [scale], voxels.dtype.name, channels, **info)
    write_chunks(folder, voxels, scale, skip)
    return folder


def opened(path, **fields):
    return PrecomputedArrayConfig(file_name=str(path), **fields).array()


class TestLaws(ArrayContract):
    def case_image(self, directory):
        voxels = sample_voxels((7, 9, 11), "uint16")
        return Case(opened(write(directory / "em", voxels, (4.5, 4, 40), (3, -2, 10))), voxels)

    def case_channels(self, directory):
        voxels = sample_voxels((3, 5, 6, 7), "float32")
        return Case(opened(write(directory / "em", voxels), channels=[2, 0]), voxels[[2, 0]])

    def case_sharded_segmentation(self, directory):
        voxels = sample_voxels((12, 13, 14), "uint64")
        return Case(opened(sharded(directory / "seg", voxels)), voxels)


def sharded(folder, voxels):
    shards = {
        "@type": "neuroglancer_uint64_sharded_v1",
        "preshift_bits": 1,
        "minishard_bits": 1,
        "shard_bits": 1,
        "hash": "identity",
        "minishard_index_encoding": "gzip",
        "data_encoding": "gzip",
    }
    scale = {"size": voxels.shape[::-1], "resolution": [4, 4, 40], "chunk_size": [4, 4, 4]}
    scale |= {"encoding": "raw", "sharding": shards, "voxel_offset": [8, 0, 4]}
    about = {"type": "segmentation", "data_type": voxels.dtype.name, "num_channels": 1}
    kvstore = {"driver": "file", "path": f"{folder}/"}
    spec = {"driver": "neuroglancer_precomputed", "kvstore": kvstore}
    spec |= {"multiscale_metadata": about, "scale_metadata": scale}
    ts.open(spec, create=True).result()[..., 0] = voxels.T
    return folder


def test_space_channels_and_kind(tmp_path):
    voxels = sample_voxels((7, 9, 11), "uint32")
    array = opened(write(tmp_path / "seg", voxels, (4, 5.2, 40), (100, 0, -3), kind="segmentation"))
    assert array.axes == ("z", "y", "x")
    assert array.voxel_size == Coordinate((40, Fraction("5.2"), 4))
    assert array.roi.offset == Coordinate((-120, 0, 400))
    assert array.units == ("nm",) * 3
    assert array.spec.kind == "labels"
    assert array.chunks == CHUNK[::-1]
    np.testing.assert_array_equal(array[...], voxels)
    channels = sample_voxels((2, 7, 9, 11), "uint8")
    array = opened(write(tmp_path / "em", channels))
    assert (array.axes, array.spec.kind) == (("c", "z", "y", "x"), "image")
    np.testing.assert_array_equal(array[...], channels)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "uint64", "float32"])
def test_every_type_of_number(tmp_path, dtype):
    voxels = sample_voxels((7, 9, 11), dtype)
    array = opened(write(tmp_path / "em", voxels))
    assert array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(array[...], voxels)


def test_a_scale_is_chosen_by_level_or_voxel_size(tmp_path):
    fine = sample_voxels((8, 10, 12), "uint16")
    coarse = fine[:, ::2, ::2]
    scales = [
        scale_of((8, 10, 12), (4, 4, 40), (6, 10, 4)),
        scale_of((8, 5, 6), (8, 8, 40), (3, 5, 4)),
    ]
    write_info(tmp_path / "em", scales)
    write_chunks(tmp_path / "em", fine, scales[0])
    write_chunks(tmp_path / "em", coarse, scales[1])
    for fields in ({"level": 1}, {"voxel_size": (40, 8, 8)}):
        array = opened(tmp_path / "em", **fields)
        np.testing.assert_array_equal(array[...], coarse)
        assert array.roi == opened(tmp_path / "em").roi
    with pytest.raises(SourceError, match="no level has this voxel size") as error:
        opened(tmp_path / "em", voxel_size=(1, 1, 1))
    assert error.value.expected == "one of (40, 4, 4), (40, 8, 8)"
    with pytest.raises(SourceError, match="no such level"):
        opened(tmp_path / "em", level=2)
    overridden = opened(
        tmp_path / "em", level=1, voxel_size=(40, 9, 9), offset=(0, 0, 0), units="um"
    )
    assert (overridden.voxel_size, overridden.units) == (Coordinate((40, 9, 9)), ("um",) * 3)


def test_chunks_that_are_missing(tmp_path):
    voxels = sample_voxels((8, 10, 12), "uint8") | 1
    path = write(tmp_path / "em", voxels, skip={(1, 0, 0)})
    filled = voxels.copy()
    filled[:4, :5, 6:] = 0
    np.testing.assert_array_equal(opened(path)[...], filled)
    array = opened(path, missing="error")
    np.testing.assert_array_equal(array[4:], voxels[4:])
    with pytest.raises(ReadError, match="a chunk is missing"):
        array[:4]
    with pytest.warns(DataWarning, match="is missing"):
        np.testing.assert_array_equal(opened(path, missing="warn")[...], filled)


@pytest.mark.parametrize("suffix", [".gz", ".br"])
def test_chunks_that_are_packed_as_files_are_refused_and_not_taken_for_missing(tmp_path, suffix):
    path = write(tmp_path / "em", sample_voxels((8, 10, 12), "uint8"))
    for chunk in (path / "4_4_40").iterdir():
        chunk.rename(f"{chunk}{suffix}")
    with pytest.raises(SourceError, match="packed as files of their own") as error:
        opened(path)
    assert error.value.got == error.value.expected + suffix


class PackingServer(WebServer):
    """Serves packed files under their plain names, as CloudVolume's viewer and Google's buckets do."""

    def answer(self, path, wanted):
        status, body, headers = super().answer(f"{path}.gz", wanted)
        if status == 404:
            return super().answer(path, wanted)
        return status, body, {**headers, "Content-Encoding": "gzip"}


def test_chunks_that_a_server_says_are_packed(tmp_path):
    voxels = sample_voxels((8, 10, 12), "uint8")
    path = write(tmp_path / "em", voxels)
    for chunk in list((path / "4_4_40").iterdir()):
        Path(f"{chunk}.gz").write_bytes(gzip.compress(chunk.read_bytes()))
        chunk.unlink()
    with serving(tmp_path, PackingServer) as server:
        np.testing.assert_array_equal(opened(f"{server.url}/em", missing="error")[...], voxels)


def test_a_truncated_chunk_is_an_error_and_spoils_no_other(tmp_path):
    voxels = sample_voxels((8, 10, 12), "uint8")
    path = write(tmp_path / "em", voxels)
    chunk = path / "4_4_40" / "6-12_0-5_0-4"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    array = opened(path)
    np.testing.assert_array_equal(array[4:], voxels[4:])
    with pytest.raises(ReadError, match="voxels cannot be read"):
        array[...]


def test_over_http_a_region_reads_only_its_chunks_and_of_a_shard_only_parts(tmp_path):
    voxels = sample_voxels((8, 10, 12), "uint16")
    write(tmp_path / "em", voxels)
    labels = np.random.default_rng(0).integers(0, 2**63, (40, 40, 40)).astype("uint64")
    sharded(tmp_path / "seg", labels)
    with serving(tmp_path) as server:
        array = opened(f"{server.url}/em")
        server.paths.clear()
        np.testing.assert_array_equal(array[4:7, 5:9, 2:4], voxels[4:7, 5:9, 2:4])
        assert [path for path in server.paths if "info" not in path] == ["/em/4_4_40/0-6_5-10_4-8"]
        array = opened(f"{server.url}/seg")
        server.sent = 0
        np.testing.assert_array_equal(array[:4, :4, :4], labels[:4, :4, :4])
        assert server.sent < labels.nbytes / 20


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"type": "mesh"}, "corrupt"),
        ({"data_type": "string"}, "corrupt"),
        ({"data_type": 7}, "corrupt"),
        ({"num_channels": 0}, "corrupt"),
        ({"scales": []}, "without scales"),
        ({"scales": [{}]}, "incomplete"),
        ({"scales": 3}, "corrupt"),
        ({"scales": [scale_of((2, 3), (4, 4))]}, "corrupt"),
        ({"scales": [scale_of((2, 3, 4), (4, 4, 40), (0.5, 0, 0))]}, "corrupt"),
        ({"scales": [scale_of((2, 3, 4), (4, 4, 0))]}, "voxel"),
        ({"scales": [scale_of((2, 3, 4), (4, 4, 40), key="../other/4_4_40")]}, "leads out"),
    ],
)
def test_an_info_that_is_corrupt(tmp_path, change, what):
    path = write(tmp_path / "em", sample_voxels((4, 5, 6), "uint8"))
    info = json.loads((path / "info").read_text())
    (path / "info").write_text(json.dumps({**info, **change}))
    with pytest.raises((SourceError, ValueError), match=what) as error:
        opened(path)
    assert str(path) in str(error.value)


def test_what_is_not_there(tmp_path):
    with pytest.raises(SourceError, match="does not exist"):
        opened(tmp_path / "em")
    (tmp_path / "em").mkdir()
    with pytest.raises(SourceError, match="not a precomputed volume"):
        opened(tmp_path / "em")
    (tmp_path / "em" / "info").write_text("[]")
    with pytest.raises(SourceError, match="corrupt"):
        opened(tmp_path / "em")


def test_arrays_pickle_and_a_document_holds_them(tmp_path):
    voxels = sample_voxels((5, 6, 7), "uint8")
    write(tmp_path / "em", voxels)
    array = pickle.loads(pickle.dumps(opened(tmp_path / "em")))
    np.testing.assert_array_equal(array[...], voxels)
    document = tmp_path / "a.yaml"
    document.write_text("type: precomputed\nfile_name: em\nlevel: 0\n")
    assert verify(document) == []
    np.testing.assert_array_equal(open_array(document)[...], voxels)
    assert load(document).level == 0
