"""Servers of files that are busy, break off or fall silent: asked again within bounds, then given up, and the error says so."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import tensorstore
import zarr
from web_server import WebServer, serving

import dacapo_like
from dacapo_like import open_array
from dacapo_like.errors import ReadError, SourceError

VOXELS = np.arange(1, 257, dtype="uint16").reshape(16, 16)
CHUNK = "/a.zarr/c/1/0"


class Watched(WebServer):
    """Also counts how many requests for chunks it has at the same time."""

    def __init__(self, root):
        super().__init__(root)
        self.lock = threading.Lock()
        self.now = self.most = 0

    def answer(self, path, wanted):
        if "/c/" not in path:
            return super().answer(path, wanted)
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(0.02)
        found = super().answer(path, wanted)
        with self.lock:
            self.now -= 1
        return found


@pytest.fixture
def web(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=VOXELS, chunks=(4, 4))
    with serving(tmp_path, Watched) as server:
        yield server


def config_of(web):
    return {"type": "zarr", "file_name": f"{web.url}/a.zarr", "axes": ["y", "x"]}


def opened(web):
    return open_array(config_of(web))


@pytest.mark.parametrize("fault", ["503", "429", "reset", "cut"])
def test_what_passes_is_asked_for_again(web, fault):
    array = opened(web)
    web.faults[CHUNK] = [fault]
    np.testing.assert_array_equal(array[4:8, :4], VOXELS[4:8, :4])
    assert web.paths.count(CHUNK) == 2


@pytest.mark.parametrize("fault", ["503", "reset", "cut"])
def test_what_does_not_pass_is_given_up(web, fault):
    with dacapo_like.using(request_retries=1):
        tree = open_array({"type": "sum", "sources": [config_of(web)]})
        np.testing.assert_array_equal(tree[:4], VOXELS[:4])
        web.faults[CHUNK] = [fault] * 9
        with pytest.raises(ReadError, match=r"1 retry attempts? failed") as error:
            tree.read()
        assert error.value.key == ("sources", 0)
        assert f"{web.url}/a.zarr" in str(error.value)
        assert CHUNK in str(error.value)
    assert 0 < web.paths.count(CHUNK) < 9  # connections that were open before count for none
    web.faults.clear()
    np.testing.assert_array_equal(tree.read(), VOXELS)


def test_nothing_is_repeated_where_that_is_asked(web):
    with dacapo_like.using(request_retries=0):
        array = opened(web)
        array[:4]
        web.faults[CHUNK] = ["503"]
        with pytest.raises(ReadError, match="503"):
            array.read()
    assert web.paths.count(CHUNK) == 1


def test_a_read_from_a_server_that_falls_silent_ends(web):
    with dacapo_like.using(remote_seconds=1):
        array = opened(web)
        web.faults[CHUNK] = ["silent"] * 9
        start = time.monotonic()
        with pytest.raises(ReadError, match="did not give the voxels in time") as error:
            array[4:8]
        assert 0.9 < time.monotonic() - start < 15  # far below the 20 s of a silent connection
    assert "nothing after 1 s" in str(error.value)
    assert "remote_seconds" in error.value.hint
    assert f"{web.url}/a.zarr" in error.value.where
    np.testing.assert_array_equal(opened(web)[:4], VOXELS[:4])


def test_so_does_one_whose_array_is_not_opened(web):
    with dacapo_like.using(remote_seconds=1):
        array = opened(web)
        web.faults["/a.zarr/zarr.json"] = ["silent"] * 9
        with pytest.raises(SourceError, match="no answer in time"):
            array.read()


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_requests_are_in_flight_than_the_settings_say(web, most):
    with dacapo_like.using(requests_in_flight=most, cache_bytes=0):
        np.testing.assert_array_equal(opened(web).read(), VOXELS)
    assert 1 <= web.most <= most


def test_by_default_there_are_many(web):
    with dacapo_like.using(cache_bytes=0):
        opened(web).read()
    assert 3 < web.most <= 16  # each takes a while


def test_n5_and_precomputed_are_given_up_as_well(tmp_path, web):
    metadata = {
        "dimensions": (16, 16),
        "blockSize": (4, 4),
        "dataType": "uint16",
        "compression": {"type": "raw"},
    }
    store = {"driver": "file", "path": f"{tmp_path}/a.n5/"}
    spec = {"driver": "n5", "kvstore": store, "metadata": metadata, "create": True}
    tensorstore.open(spec).result()[...] = VOXELS
    array = open_array({"type": "n5", "file_name": f"{web.url}/a.n5", "axes": ["y", "x"]})
    np.testing.assert_array_equal(array.read(), VOXELS.T)
    web.faults["/a.n5/1/0"] = ["silent"] * 9
    with (
        dacapo_like.using(remote_seconds=1, cache_bytes=0),
        pytest.raises(ReadError, match="in time"),
    ):
        array.read()
