"""Servers that are busy, break off, stall, lie or echo secrets; many requests at a time; and where the token goes."""

from __future__ import annotations

import gc
import gzip
import logging
import os
import pickle
import socket
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import attrs
import numpy as np
import pytest
from dvid_server import UUID, Fault, make_gray, make_supervoxels, serving

import dacapo_like
from dacapo_like import DVIDArrayConfig
from dacapo_like.errors import ReadError, SourceError
from dacapo_like.geometry import Box
from dacapo_like.hosts import forbidden
from dacapo_like.sources import _dvid_http
from dacapo_like.testing import random_boxes

pytestmark = pytest.mark.slow  # the module takes over ten seconds

GRAY = make_gray()
BODIES = make_supervoxels()
BODIES[BODIES == 2 + 2**40] = 1 + 2**40
HANGS = 20  # seconds after which a test that should have ended long ago fails


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(_dvid_http, "_FIRST_PAUSE", 0.02)


@pytest.fixture
def server():
    with serving() as running:
        yield running


def opened(server, name="gray", **fields):
    return DVIDArrayConfig(source=server.source(name), **fields).array()


def busy(headers=None):
    return Fault("status", (503, b"too many requests\n", headers or {}))


def error_of(array, box=None, code="DL301"):
    """Read until it fails; give the error, and fail if it took so long that it must have hung."""
    started = time.monotonic()
    with pytest.raises(ReadError) as caught:
        array.read_box(box or Box((0, 0, 0), (20, 20, 20)))
    assert time.monotonic() - started < HANGS
    assert caught.value.code == code
    return caught.value


# What is asked for again

PASSING = {
    "busy": busy(),
    "too many": Fault("status", (429, b"", {})),
    "bad gateway": Fault("status", (502, b"<html>", {})),
    "dropped": Fault("drop"),
    "cut": Fault("cut"),
    "shorter": Fault("body", lambda body: body[:-8]),
    "empty": Fault("body", lambda _: b""),
    "stalled": Fault("stall", 30),
    "no HTTP": Fault("bytes", b"SSH-2.0-OpenSSH_9.6\r\n"),
    "bad chunks": Fault("bytes", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n"),
}


@pytest.mark.parametrize("size", [4, 20], ids=["length known", "chunked"])
@pytest.mark.parametrize("name", ["gray", "seg"])
@pytest.mark.parametrize("fault", PASSING)
def test_faults_that_pass(server, fault, name, size):
    truth = {"gray": GRAY, "seg": BODIES}[name]
    array = opened(server, name, timeout=0.5)
    server.faults.extend([PASSING[fault]] * 2)
    np.testing.assert_array_equal(array[:size, :size, :size], truth[:size, :size, :size])
    assert len(server.voxel_requests()) == 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body[:-4],
        lambda body: body[: len(body) // 2],
        lambda body: body[:30] + bytes(8) + body[38:],
        lambda body: body[:-8] + bytes(8),  # checksum and length
        lambda body: body + b"more",
        gzip.decompress,
    ],
    ids=["without its end", "half", "overwritten", "bad checksum", "longer", "not compressed"],
)
def test_damaged_gzip_streams_pass(server, spoil):
    server.faults.append(Fault("body", spoil))
    np.testing.assert_array_equal(opened(server, "seg")[:20, :20, :20], BODIES[:20, :20, :20])
    assert len(server.voxel_requests()) == 2


@pytest.mark.parametrize("fault", ["busy", "dropped", "cut"])
def test_faults_while_opening_pass(server, fault):
    server.info_faults.extend([PASSING[fault]] * 2)
    assert opened(server).shape == GRAY.shape
    assert len(server.requests) == 3


@pytest.mark.parametrize("fault", PASSING)
def test_faults_that_last(server, fault):
    array = opened(server, "seg", timeout=0.3, retries=2)
    server.faults.extend([PASSING[fault]] * 99)
    error = error_of(array)
    assert error.what == "the server gives no usable answer"
    assert error.got.endswith("asked 3 times")
    assert f"{server.address}/api/node/{UUID}/seg/raw/0_1_2/20_20_20/0_0_0" in error.where
    assert "Roi(offset=(0, 0, 0), shape=(800, 160, 160))" in error.where
    assert error.key == ("source",)
    assert len(server.voxel_requests()) == 3


def test_a_busy_server_says_how_long_to_wait(server):
    array = opened(server)
    server.faults.append(busy({"Retry-After": "1"}))
    started = time.monotonic()
    np.testing.assert_array_equal(array[0, 0], GRAY[0, 0])
    assert time.monotonic() - started >= 1


def test_a_wait_past_the_deadline_is_not_begun(server):
    array = opened(server, deadline=30)
    server.faults.append(busy({"Retry-After": "3600"}))
    error = error_of(array)
    assert "status 503: too many requests; asked once" in error.got
    assert len(server.voxel_requests()) == 1


@pytest.mark.parametrize("name", ["gray", "seg"])
def test_a_trickle_ends_at_the_deadline(server, name):
    array = opened(server, name, timeout=20, deadline=1)
    server.faults.append(Fault("trickle", 0.05))
    assert "not complete at the deadline" in error_of(array).got


def test_a_stall_ends_at_the_deadline(server):
    """Though one answer alone might take longer."""
    array = opened(server, timeout=50, deadline=1)
    server.faults.append(Fault("stall", 50))
    assert error_of(array).got.endswith("asked once")
    assert len(server.voxel_requests()) == 1


# What is not


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("html"), r"not what was asked for \(got 26 bytes of text/html.*a web page came"),
        (Fault("body", lambda body: body + bytes(1)), "got more than 8000 bytes"),
        (Fault("status", (400, b"Illegal geometry (/api).\n", {})), r"status 400: Illegal geometry \(/api\)\."),
        (Fault("status", (500, b"", {})), r"got status 500\)"),
        (Fault("status", (204, b"", {})), "status 204"),
        (Fault("status", (400, b"\x00\x1b[31m" + b"x" * 9999, {})), r"status 400: \[31mx{400,500}…"),
        (Fault("redirect", "http://[::1"), "a redirect to nowhere"),
        (Fault("redirect", "file:///etc/passwd?"), "a redirect to nowhere"),
        (Fault("bytes", b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc"), r"not asked for \(got br"),
        (Fault("status", (403, b"no\n", {})), "status 403: no.*`token_env`"),
    ],
    ids=["html", "longer", "400", "500", "204", "long message", "no address", "no server", "brotli", "403"],
)  # fmt: skip
def test_faults_that_are_final(server, fault, message):
    array = opened(server)
    server.faults.append(fault)
    with pytest.raises(ReadError, match=message):
        array[:20, :20, :20]
    assert len(server.voxel_requests()) == 1


def test_the_servers_own_words_and_the_key_are_in_the_problem(server, tmp_path):
    document = tmp_path / "two.yaml"
    document.write_text(
        "arrays:\n"
        f"  raw: {{type: dvid, source: [{server.address!r}, {UUID}, nosuch]}}\n"
        "  seg:\n"
        "    type: dvid\n"
        f"    source: [{server.address!r}, {UUID}, seg]\n"
        "    scale: 7\n"
    )
    first, second = dacapo_like.verify(document)
    assert (first.code, first.line, first.key) == ("DL201", 2, "arrays.raw.source")
    assert "invalid data instance name" in first.message
    assert (second.code, second.line, second.key) == ("DL201", 6, "arrays.seg.scale")


def test_verify_says_where_the_unreachable_server_stands(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    document = tmp_path / "gone.yaml"
    document.write_text(
        "type: intensities\nmin: 0\nmax: 255\nsource:\n  type: dvid\n"
        f"  source: ['http://127.0.0.1:{port}', a89e, gray]\n"
    )
    (problem,) = dacapo_like.verify(document)
    assert str(problem).startswith(f"{document}:6:")
    assert (problem.code, problem.key) == ("DL201", "source.source")
    assert "the server cannot be reached (got Connection refused)" in problem.message


def test_a_server_that_answered_before_may_come_back(server):
    array = opened(server, retries=1)
    server.faults.append(Fault("drop"))  # the connection that is open already
    server.shutdown()
    server.server_close()
    assert error_of(array).got == "the connection failed: Connection refused; asked 2 times"


def test_an_answer_never_grows_past_what_was_asked_for(server):
    bomb = gzip.compress(bytes(2**27), 9)
    array = opened(server, "seg")
    server.faults.append(Fault("body", lambda _: bomb))
    tracemalloc.start()
    try:
        assert "more than 64000 bytes" in error_of(array).got
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


# Many at a time


def test_sixty_four_concurrent_reads_lose_nothing(server):
    array = opened(server, "seg", max_requests=6, tile_shape=(64, 64, 64))
    boxes = random_boxes(array.spec, np.random.default_rng(3), 64)
    server.delay = 0.005
    for i in range(64):
        server.faults.append([Fault("none"), busy(), Fault("cut"), Fault("drop")][i % 4])
    with ThreadPoolExecutor(64) as threads:
        for box, data in zip(boxes, threads.map(array.read_box, boxes), strict=True):
            np.testing.assert_array_equal(data, BODIES[box.slices], strict=True)
    assert 1 < server.most_in_flight <= 6


def test_connections_are_kept(server):
    array = opened(server, max_requests=3, tile_shape=(32, 32, 32))
    for _ in range(5):
        np.testing.assert_array_equal(array.read(), GRAY)
    assert len(server.voxel_requests()) == 5 * 2 * 3 * 4
    assert server.connections <= 1 + 3


def test_the_first_error_ends_a_read(server):
    """Of 24 tiles one fails, while nothing comes for the others that are in flight."""
    array = opened(server, max_requests=2, tile_shape=(32, 32, 32), timeout=2)
    server.faults.append(Fault("status", (400, b"a bad block", {})))
    server.faults.extend([Fault("stall", HANGS)] * 99)
    assert "a bad block" in error_of(array, array.spec.box).got
    assert len(server.voxel_requests()) <= 3
    server.faults.clear()
    np.testing.assert_array_equal(array.read(), GRAY)
    assert len(server.voxel_requests()) <= 3 + 24


def test_a_read_that_nobody_waits_for_ends(server):
    array = opened(server, max_requests=1, tile_shape=(32, 32, 32), timeout=1)
    server.faults.append(Fault("stall", HANGS))
    get = array.reader.start(array.spec.box)
    del get
    np.testing.assert_array_equal(array[0, 0], GRAY[0, 0])
    assert len(server.voxel_requests()) <= 2


def test_nothing_is_left_behind(server):
    array = opened(server)
    assert array.read().any()
    assert any(thread.name.startswith("dvid") for thread in threading.enumerate())
    del array
    gc.collect()
    eventually(lambda: not any(t.name.startswith("dvid") for t in threading.enumerate()))
    eventually(lambda: not open_connections(server))


def eventually(holds):
    ends = time.monotonic() + HANGS
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def open_connections(server):
    """Count the threads of the server that wait for requests on a connection."""
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def test_a_forked_process_has_connections_of_its_own(server):
    script = f"""
        import os, sys, warnings
        warnings.simplefilter("ignore")  # of Python 3.12 about threads and forks
        from dacapo_like import DVIDArrayConfig
        array = DVIDArrayConfig(source={server.source("gray")!r}, tile_shape=(32, 32, 32)).array()
        before = array.read()
        child = os.fork()
        same = (array.read() == before).all()
        if not child:
            os._exit(0 if same else 1)
        print(same, os.waitpid(child, 0)[1])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=True,
    )
    assert done.stdout.split() == ["True", "0"]


# The token

SECRET = "s3cr3t.t0ken-of_mine"


@pytest.fixture
def guarded(monkeypatch):
    monkeypatch.setenv("DVID_TOKEN", SECRET)
    with serving(token=SECRET) as running:
        yield running


def test_the_token_is_sent_and_shown_nowhere(guarded, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    config = DVIDArrayConfig(source=guarded.source("gray"), token_env="DVID_TOKEN", retries=1)
    array = config.array()
    np.testing.assert_array_equal(array[:40], GRAY[:40])
    echo = f"you sent Bearer {SECRET} and I do not like it".encode()
    shown = [repr(config), repr(array), array._repr_html_(), str(dict(array.attrs))]
    shown += [dacapo_like.dump(config, "yaml"), str(vars(array.reader))]
    for fault in (Fault("status", (400, echo, {})), Fault("status", (503, echo, {}))):
        guarded.faults.extend([fault] * 9)
        error = error_of(array)
        assert "you sent Bearer …" in str(error)
        shown += [str(error), repr(error), str(vars(error))]
        shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        guarded.faults.clear()
    shown += [record.getMessage() for record in caplog.records]
    shown += capfd.readouterr()
    assert caplog.records
    assert not [text for text in shown if SECRET in text]
    pickles = [pickle.dumps(value) for value in (config, array, error)]
    assert not [data for data in pickles if SECRET.encode() in data]


def test_a_token_that_changes_is_looked_up_again(guarded, monkeypatch):
    array = opened(guarded, token_env="DVID_TOKEN")
    monkeypatch.setenv("DVID_TOKEN", "another")
    guarded.token = "another"
    np.testing.assert_array_equal(array[0, 0], GRAY[0, 0])


def test_without_a_token_the_error_names_the_field(guarded):
    with pytest.raises(SourceError, match="status 401: a token is needed") as caught:
        opened(guarded)
    assert caught.value.key == ("token_env",)


@pytest.mark.parametrize("value", [None, "", "  \n", "two\nlines", "smörgås"])
def test_a_variable_without_a_token_is_named(guarded, monkeypatch, value):
    monkeypatch.delenv("DVID_TOKEN")
    if value is not None:
        monkeypatch.setenv("DVID_TOKEN", value)
    with pytest.raises(
        SourceError, match="environment variable DVID_TOKEN holds no token"
    ) as caught:
        opened(guarded, token_env="DVID_TOKEN")
    assert caught.value.key == ("token_env",)
    assert not value or value.strip() == "" or value not in str(caught.value)
    assert guarded.requests == []


def test_white_space_around_a_token_does_no_harm(guarded, monkeypatch):
    monkeypatch.setenv("DVID_TOKEN", f" {SECRET}\n")
    assert opened(guarded, token_env="DVID_TOKEN").shape == GRAY.shape


def test_a_token_goes_before_a_netrc(guarded, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    monkeypatch.setenv("NETRC", os.fspath(tmp_path / "netrc"))
    assert opened(guarded, token_env="DVID_TOKEN").shape == GRAY.shape


@pytest.mark.parametrize(
    "elsewhere", [None, "http://169.254.169.254/latest", "file:///etc/passwd", "http://[fe80::1]/"]
)
def test_a_redirect_to_another_server_is_refused(guarded, elsewhere):
    with serving() as other:
        array = opened(guarded, token_env="DVID_TOKEN")
        guarded.faults.append(Fault("redirect", elsewhere or other.address))
        error = error_of(array, code="DL202")
        assert error.what == "the server leads where nothing is asked for"
        assert SECRET not in str(error)
        assert not other.seen
    np.testing.assert_array_equal(array[0, 0], GRAY[0, 0])


def test_an_address_is_judged_again_when_it_has_been_reached(server, monkeypatch):
    """A name that had a harmless address when it was judged; the address of this machine is made one that is never asked."""
    array = opened(server)
    asked = len(server.seen)
    monkeypatch.setattr(_dvid_http, "forbidden", lambda _: forbidden("169.254.169.254"))
    with pytest.raises(SourceError, match="a link-local address") as error:
        opened(server)
    assert (error.value.code, error.value.key) == ("DL202", ("source",))
    assert len(server.seen) == asked
    assert array.shape == GRAY.shape


def test_a_redirect_on_the_same_server_is_followed(guarded):
    array = opened(guarded, token_env="DVID_TOKEN")
    guarded.faults.append(Fault("redirect", guarded.address))
    np.testing.assert_array_equal(array[0, 0], GRAY[0, 0])


def test_redirects_in_a_circle_end(server):
    array = opened(server)
    server.faults.extend([Fault("redirect", server.address)] * 99)
    assert "Exceeded 5 redirects" in error_of(array).got


def test_a_transport_may_compress_what_is_compressed(server):
    """A proxy, on its way: what the header says comes off first."""
    array = opened(server, "seg")
    answer = server.answer(f"/api/node/{UUID}/seg/raw/0_1_2/9_9_9/0_0_0?compression=gzip")
    twice = attrs.evolve(
        answer, body=gzip.compress(answer.body), headers={"Content-Encoding": "gzip"}
    )
    server.replayed[f"/api/node/{UUID}/seg/raw/0_1_2/9_9_9/0_0_0?compression=gzip"] = twice
    np.testing.assert_array_equal(array[:9, :9, :9], BODIES[:9, :9, :9])


def test_a_token_that_is_lost_while_reading_is_a_read_error(guarded, monkeypatch):
    array = opened(guarded, token_env="DVID_TOKEN")
    monkeypatch.delenv("DVID_TOKEN")
    assert error_of(array).key == ("token_env",)
