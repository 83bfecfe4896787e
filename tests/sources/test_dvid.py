"""What an instance is, and which voxels it has: compared with known volumes and with captured answers."""

from __future__ import annotations

import gzip
import itertools
import json
from fractions import Fraction

import attrs
import numpy as np
import pytest
from dvid_server import UUID, Answer, Volume, captured_volumes, make_gray, make_supervoxels, serving
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dvid_server import captures

import dacapo_like
from dacapo_like import DVIDArrayConfig, Roi
from dacapo_like.errors import ConfigError, RegionError, SourceError
from dacapo_like.geometry import Box, box_between
from dacapo_like.testing import sample_voxels

GRAY = make_gray()
SUPERVOXELS = make_supervoxels()
BODIES = np.where(SUPERVOXELS == 2 + 2**40, np.uint64(1 + 2**40), SUPERVOXELS)


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


@pytest.fixture
def own_server():
    """Give a server whose volumes a test may change."""
    with serving() as running:
        yield running


def opened(server, name, **fields):
    return DVIDArrayConfig(source=server.source(name), **fields).array()


def numbers(text):
    return [int(n) for n in text.split("_")][::-1]


# The captured answers


def raw_captures():
    """Give those answers that are voxels which the client may ask for."""
    for param in captures():
        capture = param.values[0]
        asked = capture and "/raw/" in capture.path and capture.status == 200
        if capture is None or (asked and "google" not in capture.path):
            yield param


def parsed(path):
    """Give the instance, the fields of the config, the offset and the shape that a captured path names."""
    place, _, query = path.partition("?")
    name, _, _, size, offset = place.split("/")
    fields = dict(part.split("=") for part in query.split("&") if part)
    fields.pop("compression", None)
    if "scale" in fields:
        fields["scale"] = int(fields["scale"])
    if "supervoxels" in fields:
        fields["supervoxels"] = fields["supervoxels"] == "true"
    return name, fields, numbers(offset), numbers(size)


@pytest.mark.parametrize("replayed", [False, True], ids=["computed", "replayed"])
@pytest.mark.parametrize("capture", list(raw_captures()))
def test_captured_voxels_are_read(capture, replayed, own_server):
    name, fields, offset, shape = parsed(capture.path)
    if fields.get("scale", 0) > 2:  # where DVID makes up zeros
        with pytest.raises(SourceError, match="no such scale"):
            opened(own_server, name, **fields)
        return
    array = opened(own_server, name, **fields)
    origin = [int(o / s) for o, s in zip(array.spec.offset, array.spec.voxel_size, strict=True)]
    box = Box(tuple(o - a for o, a in zip(offset, origin, strict=True)), tuple(shape))
    if replayed:
        replay(own_server, capture)
    if not array.spec.box.contains(box):  # there too
        with pytest.raises(RegionError, match="leaves the array"):
            array.read_box(box)
        assert own_server.voxel_requests() == []
        return
    plain = gzip.decompress(capture.body) if capture.body[:2] == b"\x1f\x8b" else capture.body
    expected = np.frombuffer(plain, array.dtype.newbyteorder("<")).reshape(shape)
    np.testing.assert_array_equal(array.read_box(box), expected, strict=False)
    assert len(own_server.voxel_requests()) == 1


def replay(server, capture):
    """Let the server answer with captured bytes, and with nothing else; labels are asked for with gzip."""
    path, _, query = capture.path.partition("?")
    body, fields = capture.body, [part for part in query.split("&") if part]
    if path.startswith("seg") and "compression=gzip" not in fields:
        body, fields = gzip.compress(body, mtime=0), [*fields, "compression=gzip"]
    asked = f"/api/node/{UUID}/{path}" + (f"?{'&'.join(sorted(fields))}" if fields else "")
    server.replayed[asked] = Answer(200, "application/octet-stream", body)
    server.volumes.clear()


@pytest.mark.parametrize(
    "capture", [p for p in captures() if p.values[0] is None or p.values[0].path.endswith("/info")]
)
def test_captured_infos_are_understood(capture, own_server):
    name = capture.path.split("/")[0]
    own_server.volumes.clear()
    headers = {
        k: v for k, v in capture.headers.items() if k not in ("Content-Type", "Content-Length")
    }
    answer = Answer(capture.status, capture.headers["Content-Type"], capture.body, headers)
    own_server.replayed[f"/api/node/{UUID}/{capture.path}"] = answer
    if name in ("nosuch", "empty"):
        message = {"nosuch": "invalid data instance name", "empty": "the instance is empty"}[name]
        with pytest.raises(SourceError, match=message) as caught:
            opened(own_server, name)
        assert caught.value.key == ("source",)
        return
    volume = captured_volumes()[name]
    array = opened(own_server, name)
    assert (array.shape, array.dtype) == (volume.levels[0].shape, volume.levels[0].dtype)
    assert array.voxel_size == volume.voxel_size
    assert array.chunks == volume.block
    assert array.units == ("nanometers",) * 3


# What it is


def test_metadata_of_an_image(server):
    spec = opened(server, "gray").spec
    assert spec.axes == ("z", "y", "x")
    assert spec.roi == Roi((-1280, 320, 128), (2560, 480, 512))
    assert spec.kind == "image"
    assert spec.attrs["dvid"] == {
        "type": "uint8blk",
        "instance": "gray",
        "data_uuid": "b0f633d3f6cc43a39656a477e35821e8",
        "repo_uuid": UUID,
        "scale": 0,
    }


def test_metadata_of_labels(server):
    assert opened(server, "seg").spec.kind == "labels"
    assert opened(server, "seg", kind="mask").spec.kind == "mask"
    coarse = opened(server, "seg", scale=2).spec
    assert (coarse.voxel_size, coarse.shape) == ((160, 32, 32), (32, 32, 32))
    assert coarse.roi == opened(server, "seg").spec.roi


def test_voxel_sizes_are_exact_and_units_stay_as_they_are(own_server):
    own_server.volumes["gray"].voxel_size = (40, 9.8, 3.2)
    own_server.volumes["gray"].units = ("micron", "pixels", "")
    spec = opened(own_server, "gray").spec
    assert spec.voxel_size == (40, Fraction(49, 5), Fraction(16, 5))
    assert spec.offset == (-1280, Fraction(3136, 5), Fraction(512, 5))
    assert spec.units == ("micron", "pixels", None)


@pytest.mark.parametrize("uuid", [UUID, UUID[:4], f"{UUID[:6]}:master", f"{UUID}:my-branch_2"])
def test_uuids_are_passed_on(server, uuid):
    server.requests.clear()
    array = DVIDArrayConfig(source=server.source("gray", uuid)).array()
    np.testing.assert_array_equal(array[:2, :2, :2], GRAY[:2, :2, :2])
    assert all(path.startswith(f"/api/node/{uuid}/gray/") for path in server.requests)


def test_an_address_may_have_a_path_and_a_slash(own_server):
    own_server.prefix = "/behind/a/proxy"
    config = DVIDArrayConfig(source=(f"{own_server.address}/", UUID, "gray"))
    np.testing.assert_array_equal(config.array()[5, :3], GRAY[5, :3])
    assert all(path.startswith("/behind/a/proxy/api/") for path in own_server.requests)


def test_the_server_is_told_who_asks(server, monkeypatch):
    monkeypatch.setenv("LOGNAME", "santiago")
    opened(server, "gray")[0, 0, 0]
    assert server.named[-2:] == [("santiago", "dacapo_like")] * 2


def test_a_document_with_a_dvid_source_is_read(server, tmp_path):
    document = tmp_path / "seg.yaml"
    document.write_text(
        "type: binarize\ngroupings: {one: [1099511627777]}\n"
        f"source: {{type: dvid, source: [{server.address!r}, {UUID}, seg], max_requests: 2}}\n"
    )
    array = dacapo_like.open_array(document)
    np.testing.assert_array_equal(array[0, 8, 8, 10:40], (BODIES[8, 8, 10:40] == 1 + 2**40))


# Which voxels it has

SIDES = st.tuples(st.integers(0, 128), st.integers(0, 128))
BOXES = st.tuples(SIDES, SIDES, SIDES)
TILES = st.sampled_from([None, (64, 64, 64), (64, 128, 64), (128, 64, 192)])


def box_in(spec, sides):
    ends = [sorted((a % (n + 1), b % (n + 1))) for (a, b), n in zip(sides, spec.shape, strict=True)]
    return box_between([low for low, _ in ends], [high for _, high in ends])


@settings(max_examples=60)
@given(
    sides=BOXES,
    scale=st.integers(0, 2),
    supervoxels=st.booleans(),
    tile=TILES,
)
def test_any_box_of_labels(server, sides, scale, supervoxels, tile):
    array = opened(server, "seg", scale=scale, supervoxels=supervoxels, tile_shape=tile)
    box = box_in(array.spec, sides)
    expected = (SUPERVOXELS if supervoxels else BODIES)[(slice(None, None, 2**scale),) * 3]
    np.testing.assert_array_equal(array.read_box(box), expected[box.slices], strict=True)


@settings(max_examples=60)
@given(sides=BOXES, tile=st.sampled_from([None, (32, 32, 32), (32, 64, 96)]))
def test_any_box_of_an_image(server, sides, tile):
    array = opened(server, "gray", tile_shape=tile)
    box = box_in(array.spec, sides)
    out = np.full(box.shape[::-1], 7, "uint8").T
    assert array.read_box(box, out=out) is out
    np.testing.assert_array_equal(out, GRAY[box.slices], strict=True)


def test_labels_above_doubles_are_exact(own_server):
    labels = np.array([2**53 + 1, 2**63 + 1, 2**64 - 1, 0], "uint64").reshape(1, 1, 4)
    for name in ("labelblk", "labelarray", "labelmap"):
        own_server.volumes[name] = Volume(name, [labels])
        np.testing.assert_array_equal(opened(own_server, name).read(), labels, strict=True)


def test_requests_are_cut_where_blocks_meet(server):
    """So that the server decodes each block once."""
    array = opened(server, "gray", tile_shape=(32, 64, 32))
    server.requests.clear()
    box = box_between((5, 1, 30), (60, 95, 127))
    np.testing.assert_array_equal(array.read_box(box), GRAY[box.slices])
    touched = []
    for path in server.voxel_requests():
        shape, offset = (numbers(part) for part in path.split("/")[-2:])
        touched += itertools.product(
            *(range(o // 32, (o + n - 1) // 32 + 1) for o, n in zip(offset, shape, strict=True))
        )
    assert len(touched) == len(set(touched)) == 2 * 3 * 4
    assert len(server.voxel_requests()) == 2 * 2 * 4  # y 65 to 159 touches tiles at 64 and 128


def test_a_box_no_larger_than_a_tile_is_one_request(server):
    array = opened(server, "gray", tile_shape=(32, 32, 32))
    server.requests.clear()
    np.testing.assert_array_equal(array[30:40, 30:40, 30:40], GRAY[30:40, 30:40, 30:40])
    assert server.voxel_requests() == [f"/api/node/{UUID}/gray/raw/0_1_2/10_10_10/62_94_-2"]


# Where DVID would make up zeros


@pytest.mark.parametrize(
    ("name", "fields", "message", "key"),
    [
        ("empty", {}, "the instance is empty", ("source",)),
        ("seg", {"scale": 3}, r"no such scale \(got scale 3 of a labelmap; expected 0 to 2\)", ("scale",)),
        ("old", {"scale": 1}, "no such scale .*labelblk; expected 0, the only one", ("scale",)),
        ("gray", {"scale": 1}, "invalid data instance name .*gray_1", ("source",)),
        ("thin", {"scale": 1}, "no voxel at this scale", ("scale",)),
        ("gray", {"supervoxels": True}, "only a labelmap has supervoxels", ("supervoxels",)),
        ("old", {"supervoxels": True}, "only a labelmap has supervoxels", ("supervoxels",)),
        ("gray", {"tile_shape": (32, 32, 48)}, r"tiles do not fit .*multiples of \(32, 32, 32\)", ("tile_shape",)),
        ("gray", {"tile_shape": (32, 32)}, "tiles do not fit", ("tile_shape",)),
        ("rgba", {}, "several values per voxel .*rgba8blk with 4 values", ("source",)),
        ("points", {}, "holds no voxels.*annotation", ("source",)),
    ],
)  # fmt: skip
def test_what_the_server_does_not_have_is_an_error(own_server, name, fields, message, key):
    voxels = sample_voxels((4, 4, 4), "uint64")
    own_server.volumes |= {
        "old": Volume("labelblk", [voxels]),
        "thin": Volume("labelmap", [voxels[:1], voxels[:0]], first=(1, 0, 0)),
    }
    odd = {"rgba": ("rgba8blk", 4), "points": ("annotation", 0)}
    for other, (kind, values) in odd.items():
        info = Volume("uint8blk", [GRAY]).info(other)
        info["Base"]["TypeName"] = kind
        info["Extended"]["Values"] *= values
        own_server.replayed[f"/api/node/{UUID}/{other}/info"] = json_answer(info)
    with pytest.raises(SourceError, match=message) as caught:
        opened(own_server, name, **fields)
    assert caught.value.key == key
    assert own_server.voxel_requests() == []


def json_answer(info):
    return Answer(200, "application/json", json.dumps(info).encode())


@pytest.mark.parametrize("index", [(64,), (-65,), (slice(None), 96), (slice(0, 65),)])
def test_a_box_outside_the_extents_is_never_requested(own_server, index):
    array = opened(own_server, "gray")
    with pytest.raises(RegionError):
        array[index]
    assert own_server.voxel_requests() == []


# Scales

EXTENTS = st.tuples(st.integers(-9, 9), st.integers(1, 20))


@given(extents=st.tuples(EXTENTS, EXTENTS, EXTENTS), scale=st.integers(1, 3))
def test_a_coarse_voxel_is_there_where_all_of_it_was_written(server, extents, scale):
    """Downsampled by hand from a volume that knows which of its voxels were written."""
    first, shape = zip(*extents, strict=True)
    written = np.zeros((64, 64, 64), bool)
    written[tuple(slice(o + 32, o + 32 + n) for o, n in extents)] = True
    factor = 2**scale
    whole = written.reshape((64 // factor, factor) * 3).all(axis=(1, 3, 5))
    expected = [
        (int(i.min()) - 32 // factor, len(set(i.tolist()))) for i in whole.nonzero() if i.size
    ]
    levels = [np.zeros(shape, "uint64")] * 4
    server.volumes["odd"] = Volume("labelarray", levels, first=first, voxel_size=(40, 9.8, 8))
    if not expected:
        with pytest.raises(SourceError, match="no voxel at this scale"):
            opened(server, "odd", scale=scale)
        return
    fine, coarse = opened(server, "odd").spec, opened(server, "odd", scale=scale).spec
    assert coarse.shape == tuple(n for _, n in expected)
    assert coarse.offset == fine.voxel_size * factor * [o for o, _ in expected]
    assert fine.roi.contains(coarse.roi)


def test_scales_of_an_image_are_instances_of_their_own(own_server):
    coarse = sample_voxels((20, 48, 64), "uint8")
    geometry = {"first": (-10, 32, 16), "voxel_size": (40, 10, 8), "block": (16, 16, 16)}
    own_server.volumes["gray_1"] = Volume("uint8blk", [coarse], **geometry)
    array = opened(own_server, "gray", scale=1)
    assert array.spec.roi == Roi((-400, 320, 128), (800, 480, 512))
    assert array.chunks == (16, 16, 16)
    np.testing.assert_array_equal(array.read(), coarse)
    assert "/gray_1/raw/" in own_server.voxel_requests()[0]
    assert "scale=" not in own_server.voxel_requests()[0]


def test_a_pyramid_whose_voxel_size_was_left_as_it_was(own_server):
    own_server.volumes["gray_2"] = Volume("uint8blk", [GRAY], voxel_size=(40, 5, 4))
    assert opened(own_server, "gray", scale=2).spec.voxel_size == (160, 20, 16)


@pytest.mark.parametrize("voxel_size", [(8, 8, 8), (160, 10, 8), (60, 10, 8), (20, 5, 4)])
def test_a_pyramid_whose_voxel_size_cannot_be_believed(own_server, voxel_size):
    own_server.volumes["gray_1"] = Volume("uint8blk", [GRAY], voxel_size=voxel_size)
    with pytest.raises(SourceError, match="does not follow from that of the finest") as caught:
        opened(own_server, "gray", scale=1)
    assert caught.value.key == ("scale",)
    assert opened(own_server, "gray_1").spec.voxel_size == voxel_size


# What a server may say instead


def changed(*path, to):
    info = captured_volumes()["seg"].info("seg")
    part = info
    for key in path[:-1]:
        part = part[key]
    if to is None:
        del part[path[-1]]
    else:
        part[path[-1]] = to
    return json.dumps(info).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"<html><body>Welcome</body></html>", "not JSON .*Welcome"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no usable Base.TypeName"),
        (b"null", "no usable Base.TypeName"),
        (b'{"Base": 3}', "no usable Base.TypeName"),
        (changed("Base", "TypeName", to=["labelmap"]), "no usable Base.TypeName"),
        (changed("Extended", "VoxelSize", to=None), "no usable Extended.VoxelSize"),
        (changed("Extended", "VoxelSize", to=[8, 8]), "no usable Extended.VoxelSize"),
        (changed("Extended", "VoxelSize", to=[8, 0, 8]), "no usable Extended.VoxelSize"),
        (changed("Extended", "VoxelSize", to=[8, float("nan"), 8]), "no usable Extended.VoxelSize"),
        (changed("Extended", "VoxelSize", to="888"), "no usable Extended.VoxelSize"),
        (changed("Extended", "VoxelUnits", to=["nm", 3, "nm"]), "no usable Extended.VoxelUnits"),
        (changed("Extended", "BlockSize", to=[64, 0, 64]), "no usable Extended.BlockSize"),
        (changed("Extended", "BlockSize", to=[64.0, 64, 64]), "no usable Extended.BlockSize"),
        (changed("Extended", "Values", to=None), "no usable Extended.Values"),
        (changed("Extended", "Values", to=[{"DataType": "uint32"}]), "not of the instance's type"),
        (changed("Extended", "MaxDownresLevel", to=-1), "a scale that cannot be"),
        (changed("Extended", "MaxDownresLevel", to=True), "no usable Extended.MaxDownresLevel"),
        (changed("Extents", "MinPoint", to=None), "extents with one end"),
        (changed("Extents", "MinPoint", to=[0, 0, 128]), "end before they begin"),
        (changed("Extents", "MaxPoint", to=[2**40, 9, 9]), "no usable Extents"),
        (changed("Extents", "MaxPoint", to=7), "no usable Extents"),
    ],
)
def test_an_info_that_cannot_be_understood(own_server, body, message):
    own_server.replayed[f"/api/node/{UUID}/seg/info"] = Answer(200, "text/plain", body)
    with pytest.raises(SourceError, match=message) as caught:
        opened(own_server, "seg")
    assert caught.value.code == "DL201"
    assert caught.value.key == ("source",)
    assert own_server.address in caught.value.where


def test_extents_of_this_version_count(own_server):
    """Beside those of the instance, which an older server has alone."""
    info = captured_volumes()["seg"].info("seg")
    info["Extents"]["MaxPoint"] = [63, 63, 63]
    own_server.replayed[f"/api/node/{UUID}/seg/info"] = json_answer(info)
    assert opened(own_server, "seg").shape == (64, 64, 64)
    info["Extended"]["MaxPoint"] = [127, 127, 127]
    del info["Extents"], info["Extended"]["VoxelUnits"]
    own_server.replayed[f"/api/node/{UUID}/seg/info"] = json_answer(info)
    assert opened(own_server, "seg").shape == (128, 128, 128)
    assert opened(own_server, "seg").units == (None, None, None)


# What a config may say

SERVER = "https://dvid.example.org"


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ((SERVER, "a89e"), ("source",)),
        ((SERVER, "a89e", "seg", "4"), ("source",)),
        (("dvid.example.org", "a89e", "seg"), ("source", 0)),
        (("ftp://dvid.example.org", "a89e", "seg"), ("source", 0)),
        (("http://", "a89e", "seg"), ("source", 0)),
        (("http://host:port", "a89e", "seg"), ("source", 0)),
        (("http://host:99999", "a89e", "seg"), ("source", 0)),
        (("http://[::1", "a89e", "seg"), ("source", 0)),
        (("http://ho st", "a89e", "seg"), ("source", 0)),
        (("http://host\n", "a89e", "seg"), ("source", 0)),
        (("http://host?u=me", "a89e", "seg"), ("source", 0)),
        (("http://host#part", "a89e", "seg"), ("source", 0)),
        ((SERVER, "", "seg"), ("source", 1)),
        ((SERVER, "a89e/..", "seg"), ("source", 1)),
        ((SERVER, "a89e\n", "seg"), ("source", 1)),
        ((SERVER, "a89e", ""), ("source", 2)),
        ((SERVER, "a89e", ".."), ("source", 2)),
        ((SERVER, "a89e", "seg/info"), ("source", 2)),
        ((SERVER, "a89e", "seg?scale=1"), ("source", 2)),
        ((SERVER, "a89e", "seg\x00"), ("source", 2)),
    ],
)
def test_a_source_that_is_none(source, key):
    with pytest.raises(ConfigError) as caught:
        DVIDArrayConfig(source=source)
    assert caught.value.key == key


@pytest.mark.parametrize(
    "fields",
    [
        {"scale": -1},
        {"scale": 99},
        {"timeout": 0},
        {"deadline": float("nan")},
        {"deadline": float("inf")},
        {"retries": -1},
        {"max_requests": 0},
        {"token_env": "NOT A NAME"},
    ],
    ids=str,
)
def test_values_out_of_range(fields):
    with pytest.raises(ConfigError) as caught:
        DVIDArrayConfig(source=(SERVER, "a89e", "seg"), **fields)
    assert caught.value.key == (next(iter(fields)),)


@pytest.mark.parametrize(
    "address",
    [
        "http://me:hunter2@host",
        "http://hunter2@host",
        "http://host?key=hunter2",
        "me:hunter2@host",
        "http://me:hunter2@host:port",
        "http://host:hunter2",
        "http://me:hunter2[@host",
    ],
)
def test_secrets_in_an_address_are_refused_and_not_repeated(address):
    with pytest.raises(ConfigError) as caught:
        DVIDArrayConfig(source=(address, "a89e", "seg"))
    assert "hunter2" not in str(caught.value)


def test_a_config_is_data():
    config = DVIDArrayConfig(source=[SERVER, "a89e:master", "seg"], tile_shape=[64, 64, 64])
    assert config == attrs.evolve(config, source=(SERVER, "a89e:master", "seg"))
    assert hash(config) == hash(attrs.evolve(config))
    assert dacapo_like.load(json.loads(dacapo_like.dump(config, "json"))) == config


def test_a_thin_box_is_few_requests(own_server):
    """Tiles are of a size, not of a shape."""
    own_server.volumes["wide"] = Volume(
        "uint8blk", [np.broadcast_to(np.uint8(1), (40, 4000, 4000))]
    )
    array = opened(own_server, "wide")
    assert array[7].all()
    assert len(own_server.voxel_requests()) <= 4
    assert array[:40, :1000, :1000].all()
    assert len(own_server.voxel_requests()) <= 4 + 16
