"""What a server says, over HTTP."""

from __future__ import annotations

import gzip
import http.client
import json
import logging
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import attrs
import numcodecs
import numpy as np
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

import dacapo_like
from dacapo_like.core import Reader, SourceConfig
from dacapo_like.errors import ConfigError, SourceError
from dacapo_like.serving import Catalog, Server
from dacapo_like.serving.answers import accepted, part_of
from dacapo_like.serving.catalog import FRESH
from dacapo_like.spec import from_shape

CHUNK = "raw/0/c/0/0/0"


def get(server, path, **headers):
    """Ask as a client that accepts nothing packed, unless it says so."""
    headers = {"Accept-Encoding": "identity"} | {
        key.replace("_", "-"): value for key, value in headers.items()
    }
    with requests.get(f"{server.url}/{path}", headers=headers, stream=True, timeout=30) as response:
        response.body = response.raw.read(decode_content=False)
        return response


def test_the_index_lists_what_is_served(server, arrays):
    listed = json.loads(get(server, "").body)["arrays"]
    assert list(listed) == list(arrays)
    assert listed["movie"] == {
        "url": f"{server.url}/movie",
        "kind": "image",
        "dtype": "uint16",
        "axes": {"c": 2, "t": 3, "z": 9, "y": 70, "x": 80},
        "voxel_size": "(40, 8, 8)",
        "units": ["micrometer"] * 3,
        "levels": 2,
    }


def test_chunks_are_packed_as_the_client_accepts(server, arrays):
    plain = get(server, CHUNK)
    assert "content-encoding" not in plain.headers
    voxels = np.frombuffer(plain.body, "uint8").reshape(64, 64, 64)
    np.testing.assert_array_equal(voxels, np.asarray(arrays["raw"][:64, :64, :64]))
    for accept, encoding, unpack in (
        ("gzip, deflate", "gzip", gzip.decompress),
        ("gzip, zstd", "zstd", numcodecs.Zstd().decode),
    ):
        packed = get(server, "labels/0/c/0/0/0", accept_encoding=accept)
        assert packed.headers["content-encoding"] == encoding
        whole = get(server, "labels/0/c/0/0/0")
        assert len(packed.body) < len(whole.body)
        assert unpack(packed.body) == whole.body
        assert packed.headers["etag"] == f"W/{whole.headers['etag']}"
        assert "Accept-Encoding" in packed.headers["vary"]


@pytest.mark.parametrize(
    ("said", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-299", 100, 300),
        ("bytes=-7", -7, None),
        ("bytes=5-", 5, None),
    ],
)
def test_parts_are_given(server, said, start, stop):
    whole = get(server, CHUNK)
    part = get(server, CHUNK, range=said, accept_encoding="gzip")
    assert part.status_code == 206
    assert part.body == whole.body[start:stop]
    low, high, size = map(
        int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", part.headers["content-range"]).groups()
    )
    assert (low, high + 1, size) == (*slice(start, stop).indices(len(whole.body))[:2], 64**3)


def test_parts_that_are_not_there_and_those_that_nobody_understands(server):
    assert get(server, CHUNK, range="bytes=262144-").status_code == 416
    for said in ("bytes=0-1,4-5", "voxels=0-1", "bytes=9-3", "bytes=-"):
        assert get(server, CHUNK, range=said).status_code == 200
    changed = get(server, CHUNK, range="bytes=0-9", if_range='"another"')
    assert (changed.status_code, len(changed.body)) == (200, 64**3)


def test_what_a_client_has_is_not_sent_again(server):
    first = get(server, CHUNK)
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = get(server, CHUNK, if_none_match=known)
        assert (again.status_code, again.body) == (304, b"")
        assert again.headers["etag"] == tag
    assert get(server, CHUNK, if_none_match='"x"').status_code == 200
    assert get(server, "raw/0/c/0/0/1").headers["etag"] != tag


def test_etags_and_voxels_follow_the_files(tmp_path):
    path = tmp_path / "raw.zarr"

    def save(edge, value):
        voxels = np.full((edge, 8), value, "uint8")
        dacapo_like.from_numpy(voxels, voxel_size=(4, 4)).save(path, overwrite=value > 1)

    save(8, 1)
    document = {"type": "zarr", "file_name": str(path)}
    with Server(Catalog({"raw": lambda: dacapo_like.open_array(document)})) as serving:
        first = get(serving, "raw/0/c/0/0")
        save(16, 2)
        time.sleep(FRESH * 1.1)
        second = get(serving, "raw/0/c/0/0", if_none_match=first.headers["etag"])
        assert second.status_code == 200
        assert second.headers["etag"] != first.headers["etag"]
        assert (first.body[0], second.body[0]) == (1, 2)
        assert json.loads(get(serving, "raw/0/zarr.json").body)["shape"] == [16, 8]


def test_nothing_is_where_nothing_is(server):
    for path in (
        "rwa/zarr.json",
        "raw",
        "raw/",
        "raw/zarr.jso",
        "raw/9/zarr.json",
        "raw/9/c/0/0/0",
        "raw/0/c/0/0",
        "raw/0/c/0/0/99",
        "raw/0/c/-1/0/0",
        "raw/0/c/0/0/0/0",
        "raw/0/d/0/0/0",
        "raw/0/c/0/0/٣",
        "raw/../raw/0/c/0/0/99999999999999999999",
    ):
        assert get(server, path).status_code == 404, path
    assert "did you mean 'raw'" in get(server, "rwa/zarr.json").body.decode()


def test_pages_of_this_machine_may_read_others_not(server):
    def allowed(origin, serving=server):
        return get(serving, CHUNK, origin=origin).headers.get("access-control-allow-origin")

    for origin in ("http://localhost:8080", "http://127.0.0.1", "http://[::1]:1"):
        assert allowed(origin) == origin
    for origin in ("https://example.org", "http://localhost.example.org", "null"):
        assert allowed(origin) is None
    with Server({}, origins=("https://example.org",)) as serving:
        assert allowed("https://example.org", serving) == "https://example.org"
        assert allowed("http://localhost", serving) == "http://localhost"
        assert allowed("https://example.com", serving) is None
    asked = requests.options(
        f"{server.url}/{CHUNK}",
        headers={"Origin": "http://localhost", "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"},
        timeout=10,
    )  # fmt: skip
    assert asked.status_code == 200
    assert "range" in asked.headers["access-control-allow-headers"]


def test_a_name_that_was_made_to_lead_here_is_refused(server):
    for host, status in (
        ("evil.example", 421),
        ("evil.example:80", 421),
        ("localhost:99", 200),
        ("[::1]", 200),
    ):
        assert get(server, "health", host=host).status_code == status


def test_other_hosts_need_a_token():
    with pytest.raises(ConfigError, match="a token that clients have to show"):
        Server({}, host="0.0.0.0")


def test_the_token_is_asked_for_and_never_shown(arrays, caplog):
    caplog.set_level(logging.DEBUG)
    with Server({"raw": arrays["raw"]}, token="new") as serving:
        base, _, token = serving.url.rpartition("/")
        assert len(token) > 20
        for path, headers, status in (
            (f"{base}/{CHUNK}", {}, 401),
            (f"{base}/wrong/{CHUNK}", {}, 401),
            (f"{base}/{token}/{CHUNK}", {}, 200),
            (f"{base}/{CHUNK}", {"Authorization": f"Bearer {token}"}, 200),
            (f"{base}/{CHUNK}", {"Authorization": "Bearer wrong"}, 401),
            (f"{base}/health", {}, 200),
            (f"{base}/metrics", {}, 401),
        ):
            assert requests.get(path, headers=headers, timeout=10).status_code == status, path
        found = dacapo_like.open_array({"type": "zarr", "file_name": f"{serving.url}/raw"})
        assert found.shape == arrays["raw"].shape
        listed = requests.get(f"{serving.url}/", timeout=10).json()["arrays"]
        assert listed["raw"]["url"] == f"{serving.url}/raw"
        ours = [record for record in caplog.records if not record.name.startswith("urllib3")]
        assert token not in repr(serving.application) + "".join(map(str, ours))


def test_a_source_that_fails_is_an_error_that_says_which_and_the_others_go_on(
    tmp_path, arrays, caplog
):
    path = tmp_path / "raw.zarr"
    dacapo_like.from_numpy(np.ones((8, 8), "uint8"), voxel_size=(4, 4)).save(path)
    chunk = next(file for file in path.rglob("*") if file.is_file() and file.name.isdigit())
    chunk.write_bytes(b"no chunk")
    missing = {"type": "zarr", "file_name": str(tmp_path / "gone.zarr")}
    catalog = Catalog(
        {
            "broken": lambda: dacapo_like.open_array({"type": "zarr", "file_name": str(path)}),
            "gone": lambda: dacapo_like.open_array(missing),
            "odd": lambda: dacapo_like.from_numpy(np.zeros((2, 2), "complex64")),
            "raw": lambda: arrays["raw"],
        }
    )
    with Server(catalog) as serving, caplog.at_level(logging.ERROR, "dacapo_like.serving"):
        assert get(serving, "broken/zarr.json").status_code == 200
        for at, status, said in (
            ("broken/0/c/0/0", 500, str(path)),
            ("gone/zarr.json", 500, "gone.zarr"),
            ("odd/zarr.json", 422, "complex64"),
        ):
            answered = get(serving, at)
            assert answered.status_code == status
            assert said in answered.body.decode()
            assert said in caplog.text
        assert get(serving, CHUNK).status_code == 200
        listed = json.loads(get(serving, "").body)["arrays"]
        assert "gone.zarr" in listed["gone"]["problem"]
        assert "levels" in listed["raw"]


def test_metrics_count_what_was_read_and_sent(arrays):
    with Server({"raw": arrays["raw"]}) as serving:
        for _ in range(3):
            get(serving, CHUNK)
        get(serving, "nothing/here")
        said = get(serving, "metrics").body.decode()
    found = dict(re.findall(r"^(dacapo_like_\w+(?:\{[^}]*\})?) ([0-9.e+]+)$", said, re.MULTILINE))
    assert float(found["dacapo_like_voxels_total"]) == 3 * 64**3
    assert float(found["dacapo_like_voxel_bytes_total"]) == 3 * 64**3
    assert float(found["dacapo_like_sent_bytes_total"]) >= 3 * 64**3
    assert float(found['dacapo_like_requests_total{status="200"}']) == 3
    assert float(found['dacapo_like_requests_total{status="404"}']) == 1
    assert float(found["dacapo_like_chunk_seconds_count"]) == 3
    assert float(found["dacapo_like_chunks_reading"]) == 0
    assert float(found["dacapo_like_decoded_bytes"]) > 0


class _Waiting(Reader):
    """Reads nothing until it may, and counts how many reads wait."""

    def __init__(self, gate):
        self.gate = gate
        self.spec = from_shape((256, 1024), "uint8", voxel_size=(1, 1))

    def read(self, box, out=None):
        with self.gate.lock:
            self.gate.now += 1
            self.gate.times += 1
            self.gate.most = max(self.gate.most, self.gate.now)
        assert self.gate.go.wait(30)
        with self.gate.lock:
            self.gate.now -= 1
        return np.ones(box.shape, "uint8")


class Gate:
    def __init__(self):
        self.go, self.lock = threading.Event(), threading.Lock()
        self.now = self.most = self.times = 0


@attrs.frozen(kw_only=True, eq=False, repr=False)
class GatedArrayConfig(SourceConfig):
    """An array whose reads wait at a gate."""

    gate: Gate = attrs.field(eq=False)

    def open(self):
        return _Waiting(self.gate)


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_so_many_chunks_are_read_at_a_time_others_wait_and_more_are_asked_to_come_back():
    gate = Gate()
    array = GatedArrayConfig(gate=gate).array()
    with (
        Server({"raw": array}, readers=2, waiting=3) as serving,
        ThreadPoolExecutor(8) as threads,
    ):
        assert get(serving, "raw/zarr.json").status_code == 200
        asked = [threads.submit(get, serving, "raw/0/c/0/0") for _ in range(5)]
        until(lambda: (gate.now, serving.application.waiting) == (2, 3))
        refused = get(serving, "raw/0/c/0/1")
        assert refused.headers["retry-after"] == "1"
        assert get(serving, "health").status_code == 200
        gate.go.set()
        assert [each.result().status_code for each in asked] == [200] * 5
    assert gate.most == 2


def test_what_nobody_waits_for_any_more_is_not_read():
    gate = Gate()
    array = GatedArrayConfig(gate=gate).array()
    with Server({"raw": array}, readers=1) as serving, ThreadPoolExecutor(2) as threads:
        first = threads.submit(get, serving, "raw/0/c/0/0")
        until(lambda: gate.now == 1)
        place = urlsplit(serving.url)
        leaving = http.client.HTTPConnection(place.hostname, place.port)
        leaving.request("GET", "/raw/0/c/0/1")
        until(lambda: serving.application.waiting == 1)
        leaving.close()
        last = threads.submit(get, serving, "raw/0/c/0/0")
        until(lambda: serving.application.waiting == 2)
        gate.go.set()
        assert [each.result().status_code for each in (first, last)] == [200, 200]
    assert gate.times == 2


def test_a_port_that_is_taken_is_said(server):
    with pytest.raises(SourceError, match="the port cannot be used"):
        Server({}, port=urlsplit(server.url).port)


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", "identity"),
        ("identity", "identity"),
        ("gzip;q=0", "identity"),
        ("gzip;q=0.000, zstd;q=0.001", "zstd"),
        ("*", "gzip"),
        ("*;q=0", "identity"),
        ("br, GZIP", "gzip"),
    ],
)
def test_encodings(header, encoding):
    assert accepted(header) == encoding


@given(st.integers(1, 50), st.integers(0, 60), st.integers(0, 60))
def test_parts_are_those_of_a_slice(size, first, last):
    whole = bytes(range(size))
    for said, part in (
        (f"bytes={first}-{last}", whole[first : last + 1] if first <= last else None),
        (f"bytes={first}-", whole[first:]),
        (f"bytes=-{last}", whole[max(size - last, 0) :]),
    ):
        if part == b"":
            with pytest.raises(ValueError, match="bytes"):
                part_of(said, size)
        else:
            found = part_of(said, size)
            assert (None if found is None else whole[found]) == part
