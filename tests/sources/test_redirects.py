"""Redirects of web servers, real ones: voxels and metadata are read from the server that was named, whoever connects."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

import numpy as np
import pytest
import zarr
from web_server import WebServer, serving

from dacapo_like import open_array, tensorstores
from dacapo_like.errors import ReadError, SourceError
from dacapo_like.hosts import forbidden
from dacapo_like.sources import _fsspec_http

VOXELS = np.arange(64, dtype="uint8").reshape(4, 4, 4)


class Redirecting(WebServer):
    """A server that leads on to another one, for paths that begin as one of `leads`."""

    def __init__(self, root):
        super().__init__(root)
        self.leads: dict[str, str] = {}

    def answer(self, path, wanted):
        for begin, to in self.leads.items():
            if path.startswith(begin):
                return 302, b"", {"Location": to + path}
        return super().answer(path, wanted)


@pytest.fixture
def store(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", data=VOXELS, chunks=(2, 4, 4))
    array.attrs["voxel_size"] = [1, 1, 1]
    return tmp_path


@contextmanager
def two(root):
    """Give a server, and another one that has the same."""
    with serving(root, Redirecting) as first, serving(root) as second:
        yield first, second


@pytest.fixture(params=["tensorstore", "fsspec"])
def through(request, monkeypatch):
    """Read through TensorStore, or as a process does that was forked from one that had loaded it."""
    if request.param == "fsspec":
        pytest.importorskip("fsspec")
        monkeypatch.setattr(tensorstores, "usable", lambda: False)
    return request.param


@pytest.mark.parametrize("elsewhere", [True, False])
def test_metadata_are_not_fetched_from_elsewhere(store, through, elsewhere):
    with two(store) as (first, second):
        first.leads["/a.zarr"] = second.url if elsewhere else first.url
        with pytest.raises(SourceError, match="302"):
            open_array({"type": "zarr", "file_name": f"{first.url}/a.zarr"})
        assert second.paths == []


def test_chunks_are_not_fetched_from_elsewhere(store, through):
    with two(store) as (first, second):
        array = open_array({"type": "zarr", "file_name": f"{first.url}/a.zarr"})
        first.leads["/a.zarr/c/1"] = second.url
        np.testing.assert_array_equal(array[:2], VOXELS[:2])
        with pytest.raises(ReadError, match="302"):
            array[2:]
        assert second.paths == []


def test_a_zip_file_is_not_fetched_from_elsewhere(store):
    with two(store) as (first, second):
        first.leads["/a.zip"] = second.url
        with pytest.raises(SourceError, match="302"):
            open_array({"type": "zarr", "file_name": f"{first.url}/a.zip"})
        assert second.paths == []


def test_an_address_is_judged_again_where_a_connection_is_made(monkeypatch):
    """A name that had a harmless address when it was judged; the address of this machine is made one that is never asked."""
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(_fsspec_http, "forbidden", lambda a: forbidden("169.254.1.1" if a in ("127.0.0.1", "::1") else a))  # fmt: skip

    async def ask():
        async with await _fsspec_http._client() as client:
            await client.get("http://localhost:1/")

    with pytest.raises(OSError, match="never asked"):
        asyncio.run(ask())
