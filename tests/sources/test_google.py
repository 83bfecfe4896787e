"""Zarr, N5 and precomputed in a bucket of a server of others that speaks Google's JSON API."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorstore as ts
import zarr
from google_server import serving

from dacapo_like import ZarrArrayConfig
from dacapo_like.sources._urls import parse_url
from dacapo_like.testing import sample_voxels

VOXELS = sample_voxels((12, 20, 16), "uint16")
READ = """
import json, sys
import numpy as np
from dacapo_like import open_array
from dacapo_like.errors import DacapoLikeError
reads = {}
for i, (name, document) in enumerate(json.loads(sys.argv[2]).items()):
    try:
        array = open_array(document)
        np.save(f"{sys.argv[1]}/{i}.npy", array[...])
        np.save(f"{sys.argv[1]}/part{i}.npy", array[3:5, 7:20, 8:9])
        reads[name] = [str(array.roi), [str(size) for size in array.voxel_size], i]
    except DacapoLikeError as error:
        reads[name] = str(error)
print(json.dumps(reads))
"""


@pytest.fixture(scope="module")
def google():
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def stores(tmp_path_factory, google):
    """Give the folder whose stores are in the bucket, too."""
    folder = tmp_path_factory.mktemp("stores")
    place = {"resolution": [40, 4, 4], "offset": [80, 8, -4]}
    zarr.create_group(folder / "a.zarr")
    for name, options in {
        "a.zarr/raw": {},
        "a.zarr2": {},
        "v2.zarr": {"zarr_format": 2},
        "sharded.zarr": {"shards": (12, 20, 16), "chunks": (3, 5, 4)},
    }.items():
        given = {"data": VOXELS, "chunks": (4, 8, 8), "attributes": place} | options
        zarr.create_array(folder / name, **given)
    write(folder, "n5", metadata={"blockSize": [8, 8, 4], "compression": {"type": "gzip"}})
    write(
        folder,
        "neuroglancer_precomputed",
        multiscale_metadata={"type": "image", "data_type": "uint16", "num_channels": 1},
        scale_metadata={"encoding": "raw", "chunk_size": [8, 8, 4], "resolution": [4, 4, 40]},
    )
    for store in folder.iterdir():
        google.put(store)
    return folder


def write(folder, driver, **options):
    kvstore = {"driver": "file", "path": f"{folder}/{driver}/"}
    several = [1] if driver == "neuroglancer_precomputed" else []
    store = ts.open(
        {"driver": driver, "kvstore": kvstore, **options},
        create=True,
        dtype=ts.uint16,
        shape=[*VOXELS.shape[::-1], *several],
    ).result()
    store[...] = VOXELS.T.reshape(store.shape)


@pytest.fixture(scope="module")
def reads(tmp_path_factory, google, stores):
    """Read all in a process of its own: TensorStore takes the server's address from its environment, once."""
    folder = tmp_path_factory.mktemp("reads")
    documents = {
        name: {"type": kind, "file_name": f"gs://data/{name}"}
        for name, kind in {
            "a.zarr": "zarr",
            "a.zarr/raw": "zarr",
            "v2.zarr": "zarr",
            "sharded.zarr": "zarr",
            "n5": "n5",
            "neuroglancer_precomputed": "precomputed",
            "none.zarr": "zarr",
        }.items()
    }
    options = {"storage_options": {"user_project": "ours"}}
    documents["who pays"] = documents["a.zarr/raw"] | options
    google_environment = {
        "TENSORSTORE_GCS_HTTP_URL": google.url,
        "GOOGLE_AUTH_TOKEN_FOR_TESTING": "t0ken",
    }
    google.queries.clear()
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder), json.dumps(documents)],
        env={**os.environ, **google_environment},
        check=True,
        timeout=120,
        stdout=subprocess.PIPE,
    )
    return folder, json.loads(done.stdout)


@pytest.mark.parametrize(
    "name",
    ["a.zarr", "a.zarr/raw", "v2.zarr", "sharded.zarr", "n5", "neuroglancer_precomputed"],
)
def test_what_is_in_a_bucket_is_what_is_in_a_folder(stores, reads, name):
    folder, found = reads
    roi, voxel_size, i = found[name]
    np.testing.assert_array_equal(np.load(folder / f"{i}.npy"), VOXELS)
    np.testing.assert_array_equal(np.load(folder / f"part{i}.npy"), VOXELS[3:5, 7:20, 8:9])
    if "zarr" in name:
        local = ZarrArrayConfig(file_name=str(stores / name)).array()
        assert (roi, voxel_size) == (str(local.roi), ["40", "4", "4"])


def test_nothing_is_found_where_nothing_is(reads):
    _, found = reads
    assert "gs://data/none.zarr: not a Zarr store" in found["none.zarr"]


def test_the_server_was_asked_as_google_wants_to_be_asked(reads, google):
    assert google.tokens == {"Bearer t0ken"}
    payers = {query.get("userProject") for query in google.queries}
    assert payers == {None, "ours"}
    assert any(query.get("startOffset") == "a.zarr/" for query in google.queries)
    assert any(wanted.startswith("bytes=-") for wanted in google.ranges)


def test_anonymous_access_is_plain_https_at_the_address_of_public_files(stores, google):
    spec = parse_url("gs://data/a.zarr/raw", {"anon": True}).kvstore(folder=True)
    base = "https://storage.googleapis.com/"
    assert (spec["driver"], spec["base_url"]) == ("http", f"{base}data/a.zarr/raw/")
    here = spec["base_url"].replace(base, f"{google.url}/")
    google.tokens.clear()
    array = ZarrArrayConfig(file_name=here.rstrip("/")).array()
    np.testing.assert_array_equal(array[...], VOXELS)
    assert google.tokens == {None}
