"""Zarr in zip files, in buckets of a server that speaks S3's protocol, and behind a web server: the same as in a folder."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor

import boto3
import numcodecs
import numpy as np
import pytest
import zarr
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from web_server import serving

from dacapo_like import ZarrArrayConfig, dump, load, tensorstores, verify
from dacapo_like.errors import (
    ConfigError,
    DataWarning,
    MissingExtraError,
    ReadError,
    SourceError,
    WriteError,
)
from dacapo_like.geometry import Coordinate
from dacapo_like.testing import ArrayContract, Case, sample_voxels

pytestmark = pytest.mark.slow  # the module takes over ten seconds

VOXELS = sample_voxels((12, 20, 16), "uint16")
REFUSED = "http://127.0.0.1:9"  # the discard port: nobody listens there


@pytest.fixture(scope="session")
def s3():
    """Give the address of a server, with a bucket `data` in it."""
    names = {"AWS_ACCESS_KEY_ID": "us", "AWS_SECRET_ACCESS_KEY": "ours"}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
    client.create_bucket(Bucket="data")
    yield url
    server.stop()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture
def web(tmp_path):
    with serving(tmp_path) as server:
        yield server


class Kept:
    """Puts a store somewhere, and opens it there."""

    def __init__(self, where, s3, web):
        self.where, self.s3, self.web = where, s3, web
        self.options = {}

    def put(self, path, acl="private"):
        if self.where == "folder":
            return str(path)
        if self.where == "http":
            return f"{self.web.url}/{path.relative_to(self.web.root).as_posix()}"
        if self.where.startswith("zip"):
            return str(zipped(path, deflated="deflated" in self.where, top="top" in self.where))
        self.options = {"endpoint_url": self.s3, "region": "us-east-1"}
        return upload(self.s3, path, acl)

    def open(self, path, **fields):
        file_name = self.put(path)
        options = {"storage_options": self.options} if self.options else {}
        return ZarrArrayConfig(file_name=file_name, **options, **fields).array()


@pytest.fixture(
    params=["folder", "zip", "zip deflated", "zip with a folder at its top", "s3", "http"]
)
def kept(request, s3, web):
    return Kept(request.param, s3, web)


def upload(s3, path, acl="private"):
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    prefix = path.as_posix().strip("/")
    for file in path.rglob("*"):
        if file.is_file():
            key = f"{prefix}/{file.relative_to(path).as_posix()}"
            client.put_object(Bucket="data", Key=key, Body=file.read_bytes(), ACL=acl)
    return f"s3://data/{prefix}"


def zipped(path, *, deflated=False, top=False):
    target = path.with_name(f"{path.name}.zip")
    method = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "w", method) as file:
        for below in sorted(path.rglob("*")):
            if below.is_file():
                file.write(below, below.relative_to(path.parent if top else path))
    return target


def array_at(path, data=VOXELS, **options):
    options = {"chunks": (4, 8, 8), **options}
    array = zarr.create_array(path, shape=data.shape, dtype=data.dtype, **options)
    array[...] = data
    return path


def pyramid(path, levels=3):
    group = zarr.create_group(path)
    datasets = []
    for i in range(levels):
        group.create_array(str(i), data=VOXELS[:, :: 2**i, :: 2**i], chunks=(4, 8, 8))
        size = [40, 4 * 2**i, 4 * 2**i]
        moves = [{"type": "scale", "scale": size}]
        moves += [{"type": "translation", "translation": [s / 2 + 8 for s in size]}]
        datasets.append({"path": str(i), "coordinateTransformations": moves})
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "zyx"]
    image = {"axes": axes, "datasets": datasets}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    return path


# The same voxels and places


@pytest.mark.parametrize(
    "options",
    [
        {"zarr_format": 2},
        {"zarr_format": 2, "dimension_separator": "/"},
        {"zarr_format": 3},
        {"shards": (12, 16, 16)},
    ],
    ids=["v2", "v2 with slashes", "v3", "sharded"],
)
def test_an_array_reads_the_same_wherever_it_is_kept(tmp_path, kept, options):
    if "dimension_separator" in options:
        options = {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}}
    path = array_at(tmp_path / "a.zarr", **options, attributes={"resolution": [40, 4, 4]})
    array = kept.open(path)
    local = ZarrArrayConfig(file_name=str(path)).array()
    assert array.spec == local.spec
    np.testing.assert_array_equal(array[...], VOXELS)
    np.testing.assert_array_equal(array[3:5, 7:20, 8:9], VOXELS[3:5, 7:20, 8:9])


def test_a_pyramid_lies_where_it_lies_in_a_folder(tmp_path, kept):
    path = pyramid(tmp_path / "a.zarr")
    for level in range(3):
        array = kept.open(path, level=level)
        assert array.spec == ZarrArrayConfig(file_name=str(path), level=level).array().spec
        np.testing.assert_array_equal(array[...], VOXELS[:, :: 2**level, :: 2**level])
    named = kept.open(path, dataset="1")
    assert named.spec == kept.open(path, level=1).spec


def test_a_name_may_lead_into_a_hierarchy(tmp_path, s3, web):
    path = pyramid(tmp_path / "a.zarr")
    expected = ZarrArrayConfig(file_name=str(path), level=1).array().spec
    for where in ("s3", "http"):
        kept = Kept(where, s3, web)
        name, options = kept.put(path), kept.options
        inner = ZarrArrayConfig(file_name=f"{name}/1", storage_options=options).array()
        assert inner.spec == expected
        assert inner.roi.offset == Coordinate((8, 8, 8))


def test_a_server_that_goes_away_is_not_taken_for_a_codec(tmp_path, web):
    path = array_at(tmp_path / "a.zarr")
    array = Kept("http", None, web).open(path)
    web.status["/a.zarr/zarr.json"] = 403
    with pytest.raises(ReadError, match=r"cannot be opened .*403"):
        array[0]
    del web.status["/a.zarr/zarr.json"]
    np.testing.assert_array_equal(array[0], VOXELS[0])


def test_the_only_array_of_a_group_is_found_where_folders_are_listed(tmp_path, kept):
    zarr.create_group(tmp_path / "a.zarr")
    array_at(tmp_path / "a.zarr" / "volumes" / "raw")
    if kept.where != "http":
        np.testing.assert_array_equal(kept.open(tmp_path / "a.zarr")[...], VOXELS)
        with pytest.raises(SourceError, match="no such dataset") as error:
            kept.open(tmp_path / "a.zarr", dataset="volumes/row")
        assert error.value.hint == "did you mean 'raw'?"
        return
    with pytest.raises(SourceError, match="cannot be searched") as error:
        kept.open(tmp_path / "a.zarr")
    assert error.value.key == ("dataset",)
    with pytest.raises(SourceError, match="no such dataset"):
        kept.open(tmp_path / "a.zarr", dataset="volumes/row")
    np.testing.assert_array_equal(
        kept.open(tmp_path / "a.zarr", dataset="volumes/raw")[...], VOXELS
    )


@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_consolidated_metadata_say_what_a_web_server_does_not(tmp_path, web, zarr_format):
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=zarr_format)
    group.create_array("volumes/raw", data=VOXELS, chunks=(4, 8, 8))
    zarr.consolidate_metadata(str(tmp_path / "a.zarr"), zarr_format=zarr_format)
    kept = Kept("http", None, web)
    np.testing.assert_array_equal(kept.open(tmp_path / "a.zarr")[...], VOXELS)
    with pytest.raises(SourceError, match="no such dataset") as error:
        kept.open(tmp_path / "a.zarr", dataset="volumes/row")
    assert error.value.hint == "did you mean 'raw'?"


def test_chunks_that_are_missing(tmp_path, kept):
    path = array_at(tmp_path / "a.zarr", VOXELS | 1)
    (path / "c" / "1" / "0" / "0").unlink()
    filled = VOXELS | 1
    filled[4:8, :8, :8] = 0
    np.testing.assert_array_equal(kept.open(path)[...], filled)
    with pytest.raises(ReadError, match="a chunk is missing"):
        kept.open(path, missing="error")[...]
    with pytest.warns(DataWarning, match="is missing"):
        np.testing.assert_array_equal(kept.open(path, missing="warn")[...], filled)


def test_a_damaged_chunk_is_an_error_that_says_where(tmp_path, kept):
    path = array_at(tmp_path / "a.zarr")
    chunk = path / "c" / "1" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-9])
    array = kept.open(path)
    np.testing.assert_array_equal(array[:4], VOXELS[:4])
    with pytest.raises(ReadError, match=r"a\.zarr.*voxels \(4, 0, 0\) to"):
        array[4:8]


def test_codecs_that_tensorstore_does_not_know(tmp_path, kept):
    path = array_at(tmp_path / "a.zarr", zarr_format=2, filters=[numcodecs.Delta("<u2")])
    np.testing.assert_array_equal(kept.open(path)[2:9, 3:12, 4:], VOXELS[2:9, 3:12, 4:])


def test_the_extra_that_rare_codecs_need_is_named(tmp_path, web, monkeypatch):
    path = array_at(tmp_path / "a.zarr", zarr_format=2, filters=[numcodecs.Delta("<u2")])
    for name in ("fsspec", "fsspec.core"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError) as error:
        Kept("http", None, web).open(path)
    assert error.value.hint == "pip install 'dacapo_like[remote]'"
    assert "filters are not supported" in error.value.__notes__[0]


def test_only_folders_are_written_to(tmp_path, kept):
    array = kept.open(array_at(tmp_path / "a.zarr"), mode="r+")
    assert array.writable == (kept.where == "folder")
    if kept.where != "folder":
        with pytest.raises(WriteError, match="only read"):
            array[:1] = 0


class TestLawsOfZipFiles(ArrayContract):
    def case_sharded(self, directory):
        path = array_at(directory / "a.zarr", VOXELS[:5], shards=(12, 16, 16), chunks=(2, 8, 4))
        return Case(ZarrArrayConfig(file_name=str(zipped(path))).array(), VOXELS[:5])


# Processes


def test_arrays_pickle_and_a_document_holds_them(tmp_path, kept):
    array = kept.open(array_at(tmp_path / "a.zarr"))
    copy = pickle.loads(pickle.dumps(array))
    assert copy.config == array.config
    assert hash(copy.config) == hash(array.config)
    np.testing.assert_array_equal(copy[...], VOXELS)
    (tmp_path / "a.yaml").write_text(dump(array.config))
    assert verify(tmp_path / "a.yaml") == []
    assert load(tmp_path / "a.yaml") == array.config


@pytest.mark.filterwarnings(r"ignore:This process \(pid=\d+\) is multi-threaded, use of fork")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_every_kind_read(tmp_path, kept, method):
    array = kept.open(array_at(tmp_path / "a.zarr"))
    array[0]
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        np.testing.assert_array_equal(pool.submit(np.asarray, array).result(120), VOXELS)


# What is read


def test_of_a_big_shard_a_region_reads_little(tmp_path, web):
    data = np.random.default_rng(0).integers(0, 2**16, (256, 256, 128)).astype("uint16")
    array_at(
        tmp_path / "a.zarr", data, chunks=(32, 32, 32), shards=(256, 256, 128), compressors=None
    )
    shard = (tmp_path / "a.zarr" / "c" / "0" / "0" / "0").stat().st_size
    array = Kept("http", None, web).open(tmp_path / "a.zarr")
    web.sent = 0
    np.testing.assert_array_equal(array[32:96, 64:128, :64], data[32:96, 64:128, :64])
    asked = 64**3 * 2
    assert asked <= web.sent < asked + 20_000
    assert web.sent < shard / 30


def test_of_a_zip_file_on_a_server_a_region_reads_little(tmp_path, web):
    data = np.random.default_rng(0).integers(0, 2**16, (128, 128, 64)).astype("uint16")
    path = zipped(array_at(tmp_path / "a.zarr", data, chunks=(32, 32, 32), compressors=None))
    array = ZarrArrayConfig(file_name=f"{web.url}/a.zarr.zip").array()
    np.testing.assert_array_equal(array[32:64, 64:96, :32], data[32:64, 64:96, :32])
    assert web.sent < path.stat().st_size / 4


def test_zips_of_zarr_python(tmp_path):
    for name, compression in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        path = tmp_path / f"{name}.ozx"
        with zarr.storage.ZipStore(path, mode="w", compression=compression) as store:
            group = zarr.create_group(store)
            group.create_array("raw", data=VOXELS, chunks=(4, 8, 8))
        np.testing.assert_array_equal(ZarrArrayConfig(file_name=str(path)).array()[...], VOXELS)


# What is refused


def test_a_dataset_outside_of_the_store_is_refused(tmp_path, kept):
    array_at(tmp_path / "b.zarr")
    for dataset in ("../b.zarr", "x/../../b.zarr"):
        with pytest.raises(SourceError, match="leads out of the store") as error:
            kept.open(array_at(tmp_path / "a.zarr", overwrite=True), dataset=dataset)
        assert error.value.key == ("dataset",)


def test_a_level_outside_of_the_store_is_refused(tmp_path, kept):
    array_at(tmp_path / "b.zarr")
    path = pyramid(tmp_path / "a.zarr", 1)
    text = (path / "zarr.json").read_text().replace('"path": "0"', '"path": "../b.zarr"')
    (path / "zarr.json").write_text(text)
    with pytest.raises(SourceError, match="leads out of the store"):
        kept.open(path)


def test_a_link_out_of_the_store_is_refused(tmp_path):
    array_at(tmp_path / "b.zarr")
    zarr.create_group(tmp_path / "a.zarr")
    (tmp_path / "a.zarr" / "raw").symlink_to(tmp_path / "b.zarr")
    with pytest.raises(SourceError, match="symbolic link leads out") as error:
        ZarrArrayConfig(file_name=str(tmp_path / "a.zarr"), dataset="raw").array()
    assert error.value.got == str(tmp_path / "b.zarr" / "zarr.json")
    (tmp_path / "c.zarr").symlink_to(tmp_path / "b.zarr")
    array = ZarrArrayConfig(file_name=str(tmp_path / "c.zarr")).array()
    np.testing.assert_array_equal(array[...], VOXELS)


def test_zip_files_that_are_none_or_damaged(tmp_path):
    path = tmp_path / "a.zarr.zip"
    path.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(SourceError, match="not a zip file that can be read"):
        ZarrArrayConfig(file_name=str(path)).array()
    good = zipped(array_at(tmp_path / "a.zarr"))
    contents = good.read_bytes()
    good.write_bytes(contents.replace(b'"zarr_format"', b'"zarr-format"', 1))
    with pytest.raises(SourceError, match="CRC"):
        ZarrArrayConfig(file_name=str(good)).array()
    good.write_bytes(contents[:-30])
    with pytest.raises(SourceError, match="not a zip file that can be read"):
        ZarrArrayConfig(file_name=str(good)).array()


def test_names_in_a_zip_file_that_lead_out_of_it_lead_nowhere(tmp_path):
    array_at(tmp_path / "b.zarr")
    group = json.dumps({"zarr_format": 3, "node_type": "group"})
    metadata = (tmp_path / "b.zarr" / "zarr.json").read_text()
    (tmp_path / "b.zarr").rename(tmp_path / "c.zarr")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("zarr.json", group)
        file.writestr("../b.zarr/zarr.json", metadata)
        file.writestr("/raw/zarr.json", metadata)
    with pytest.raises(SourceError, match="no Zarr array here"):
        ZarrArrayConfig(file_name=str(tmp_path / "a.zip")).array()
    with pytest.raises(SourceError, match="leads out of the store"):
        ZarrArrayConfig(file_name=str(tmp_path / "a.zip"), dataset="../b.zarr").array()
    with pytest.raises(SourceError, match="no such dataset"):
        ZarrArrayConfig(file_name=str(tmp_path / "a.zip"), dataset="/raw").array()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "c.zarr"]


def test_metadata_that_unpack_to_too_much(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zarr.json", b" " * (64 * 2**20 + 1))
    with pytest.raises(SourceError, match="too large"):
        ZarrArrayConfig(file_name=str(tmp_path / "a.zarr.zip")).array()


def test_a_zip_file_that_is_not_there(tmp_path, web):
    array_at(tmp_path / "a.zarr")
    zipped(tmp_path / "a.zarr")
    with pytest.raises(SourceError, match="does not exist") as error:
        ZarrArrayConfig(file_name=str(tmp_path / "b.zarr.zip")).array()
    assert error.value.hint == "did you mean 'a.zarr.zip'?"
    with pytest.raises(SourceError, match="no zip file"):
        ZarrArrayConfig(file_name=f"{web.url}/b.zarr.zip").array()


@pytest.mark.parametrize(
    ("options", "what", "hint"),
    [
        ({"key": "AKIA"}, "no secrets", "profile"),
        ({"secret": "x"}, "no secrets", "AWS_SECRET_ACCESS_KEY"),
        ({"session_token": "x"}, "no secrets", "profile"),
        ({"aws_access_key_id": "x"}, "no secrets", "profile"),
        ({"annon": True}, "unknown storage option", "did you mean 'anon'?"),
        ({"anon": "yes"}, "wrong type", None),
        ({"region": True}, "wrong type", None),
    ],
)
def test_storage_options_that_do_not_belong(options, what, hint):
    with pytest.raises(ConfigError, match=what) as error:
        ZarrArrayConfig(file_name="s3://data/a.zarr", storage_options=options)
    assert error.value.key == ("storage_options", next(iter(options)))
    assert hint is None or hint in error.value.hint


def test_a_document_says_where_a_storage_option_is_wrong(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("type: zarr\nfile_name: s3://data/a.zarr\nstorage_options: {secret: hush}\n")
    (problem,) = verify(path)
    assert (problem.key, problem.line, problem.code) == ("storage_options.secret", 3, "DL110")
    assert "hush" not in str(problem)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("s4://data/a.zarr", "unknown kind of URL"),
        ("https:///a.zarr", "not a URL"),
        ("https://[/a.zarr", "not a URL"),
        ("s3://data/a.zarr?X-Amz-Signature=mine", "no query"),
    ],
)
def test_urls_that_are_refused(url, what):
    with pytest.raises(SourceError, match=what) as error:
        ZarrArrayConfig(file_name=url).array()
    assert "mine" not in str(error.value)


# Servers


def test_anyone_reads_what_is_public_and_nothing_else(tmp_path, s3):
    array_at(tmp_path / "a.zarr")
    options = {"endpoint_url": s3, "region": "us-east-1", "anon": True}
    config = ZarrArrayConfig(file_name=upload(s3, tmp_path / "a.zarr"), storage_options=options)
    with pytest.raises(SourceError, match="access is denied") as error:
        config.array()
    assert error.value.where.startswith("s3://data/")
    upload(s3, tmp_path / "a.zarr", acl="public-read")
    np.testing.assert_array_equal(config.array()[...], VOXELS)


def test_a_profile_gives_the_credentials(tmp_path, s3, monkeypatch):
    url = upload(s3, array_at(tmp_path / "a.zarr"))
    (tmp_path / "keys").write_text("[lab]\naws_access_key_id = us\naws_secret_access_key = ours\n")
    (tmp_path / "config").write_text("[profile lab]\nregion = us-east-1\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    options = {"endpoint_url": s3, "region": "us-east-1", "profile": "lab"}
    array = ZarrArrayConfig(file_name=url, storage_options=options).array()
    np.testing.assert_array_equal(array[...], VOXELS)
    with pytest.raises(SourceError, match="credentials") as error:
        ZarrArrayConfig(file_name=url, storage_options={**options, "profile": "none"}).array()
    assert "`profile`" in error.value.hint


def test_buckets_and_keys_that_are_not_there(s3):
    options = {"endpoint_url": s3, "region": "us-east-1"}
    with pytest.raises(SourceError, match="NoSuchBucket"):
        ZarrArrayConfig(file_name="s3://nowhere/a.zarr", storage_options=options).array()
    with pytest.raises(SourceError, match=r"s3://data/none\.zarr: not a Zarr store"):
        ZarrArrayConfig(file_name="s3://data/none.zarr", storage_options=options).array()


@pytest.mark.parametrize("url", [f"{REFUSED}/a.zarr?key=mine", "s3://data/a.zarr"])
def test_a_server_that_is_not_there(url):
    options = {"endpoint_url": REFUSED, "anon": True} if url.startswith("s3") else {}
    with pytest.raises(SourceError, match="Could not connect") as error:
        ZarrArrayConfig(file_name=url, storage_options=options).array()
    assert error.value.where.startswith(url.partition("/a.zarr")[0])
    assert "mine" not in str(error.value)


def test_a_server_that_never_answers(tmp_path, web, monkeypatch):
    monkeypatch.setattr(tensorstores, "PATIENCE", 0.5)
    web.silent.set()
    with pytest.raises(SourceError, match="no answer"):
        ZarrArrayConfig(file_name=f"{web.url}/a.zarr").array()


def test_a_query_goes_along_and_is_never_shown(tmp_path, web):
    path = array_at(tmp_path / "a.zarr")
    array = ZarrArrayConfig(file_name=f"{web.url}/a.zarr?signature=mine").array()
    np.testing.assert_array_equal(array[...], VOXELS)
    assert web.queries == {"signature=mine"}
    (path / "c" / "1" / "0" / "0").write_bytes(b"spoiled")
    web.status["/a.zarr/c/2/0/0"] = 403
    again = ZarrArrayConfig(file_name=f"{web.url}/a.zarr?signature=mine&v=2").array()
    for box in (slice(4, 8), slice(8, 12)):
        with pytest.raises(ReadError) as error:
            again[box]
        assert "mine" not in str(error.value)
    with pytest.raises(SourceError) as error:
        ZarrArrayConfig(file_name=f"{web.url}/b.zarr?signature=mine").array()
    assert "mine" not in str(error.value)


def test_a_server_that_denies_what_is_not_there(tmp_path, web):
    array_at(tmp_path / "a.zarr", zarr_format=2)
    for name in ("/zarr.json", "/.zgroup", "/a.zarr/zarr.json"):
        web.status[name] = 403
    kept = Kept("http", None, web)
    np.testing.assert_array_equal(kept.open(tmp_path / "a.zarr")[...], VOXELS)
    for name in (".zarray", ".zattrs", ".zgroup"):
        web.status[f"/a.zarr/{name}"] = 403
    with pytest.raises(SourceError, match="access is denied"):
        kept.open(tmp_path / "a.zarr")


def test_a_page_for_people_is_no_hierarchy_above(tmp_path, web):
    array_at(tmp_path / "a.zarr")
    (tmp_path / "zarr.json").write_text("<html>not found</html>")
    np.testing.assert_array_equal(Kept("http", None, web).open(tmp_path / "a.zarr")[...], VOXELS)


def test_metadata_that_are_no_json(tmp_path, kept):
    path = array_at(tmp_path / "a.zarr")
    (path / "zarr.json").write_text(json.dumps({"node_type": "array"})[:-1])
    with pytest.raises(SourceError, match="not JSON"):
        kept.open(path)
