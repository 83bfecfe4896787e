"""The server that the other tests run against, compared with the answers of a real one."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path

import attrs
import numpy as np
import pytest
import requests
from dvid_server import UUID, Fault, dvid_block, google_segmentation, serving

SIBLING = Path(__file__).parents[2].parent / "shared"
CAPTURES = Path(os.environ.get("DACAPO_LIKE_SHARED", SIBLING)) / "dvid"


@attrs.frozen
class Capture:
    path: str
    status: int
    headers: dict[str, str]
    body: bytes


def captures():
    if not (CAPTURES / "index.json").is_file():
        skip = pytest.mark.skip(
            reason=f"no captured answers at {CAPTURES}: set DACAPO_LIKE_SHARED to the folder above them"
        )
        return [pytest.param(None, marks=skip, id="captures")]
    found = []
    for call in json.loads((CAPTURES / "index.json").read_text())["calls"]:
        body = (CAPTURES / f"{call['i']:02}.body").read_bytes()
        assert (len(body), hashlib.sha256(body).hexdigest()[:16]) == (call["n"], call["sha"])
        capture = Capture(call["path"], call["status"], call["headers"], body)
        found.append(pytest.param(capture, id=call["path"]))
    return found


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


def inflated(body):
    """Give a body with the gzip stream that it is, or of the one block that it holds, decompressed."""
    at = body.find(b"\x1f\x8b") if body[:2] == b"\x1f\x8b" or body[16:18] == b"\x1f\x8b" else -1
    if at < 0:
        return body
    frame = body[: max(at - 4, 0)]  # the length differs from one compressor to the next
    return frame + gzip.decompress(body[at:])


@pytest.mark.parametrize("capture", captures())
def test_the_server_answers_as_dvid_does(server, capture):
    url = f"{server.address}/api/node/{UUID}/{capture.path}"
    with requests.Session() as session, session.get(url, stream=True) as answer:
        body = answer.raw.read(decode_content=False)
    assert answer.status_code == capture.status
    assert inflated(body) == inflated(capture.body)
    headers = dict(capture.headers)
    if body != capture.body:  # compressed by another library
        headers.pop("Content-Length", None)
    assert {key: answer.headers.get(key) for key in headers} == headers
    framing = {"Content-Length", "Transfer-Encoding"}
    assert framing & set(answer.headers) == framing & set(capture.headers)


@pytest.mark.parametrize("labels", [1, 2, 3, 17, 300])
def test_blocks_of_labels_decode_to_what_was_encoded(labels):
    """The captured block has one label in each of its cubes; these have many."""
    supervoxels = np.random.default_rng(labels).integers(0, labels, (16, 8, 24), dtype="uint64")
    supervoxels += 2**60
    assert (decoded_dvid(dvid_block_of(supervoxels), supervoxels.shape) == supervoxels).all()
    encoded = google_segmentation(supervoxels)
    assert (decoded_google(encoded, supervoxels.shape) == supervoxels).all()


def dvid_block_of(supervoxels):
    class Unmerged:
        def merged(self, labels):
            return labels

    return dvid_block(supervoxels, Unmerged())


def cubes_of(shape):
    grid = [n // 8 for n in shape]
    for cube in np.ndindex(*grid):
        yield tuple(slice(8 * i, 8 * i + 8) for i in cube)


def decoded_dvid(data, shape):
    """Decode after DVID's description of its format, voxel by voxel."""
    grid = np.frombuffer(data, "<u4", 4)
    assert tuple(8 * grid[2::-1]) == shape
    count, n = int(grid[3]), int(np.prod(grid[:3]))
    table = np.frombuffer(data, "<u8", count, 16)
    out = np.empty(shape, "uint64")
    if count == 1:
        out[...] = table[0]
        return out
    at = 16 + 8 * count
    counts = np.frombuffer(data, "<u2", n, at).astype(int)
    indices = np.frombuffer(data, "<u4", counts.sum(), at + 2 * n)
    bits = "".join(f"{byte:08b}" for byte in data[at + 2 * n + 4 * len(indices) :])
    used = first = 0
    for place, own in zip(cubes_of(shape), counts, strict=True):
        width = int(np.ceil(np.log2(own)))
        values = [
            int(bits[used + i * width :][:width] or "0", 2) for i in range(512 if width else 0)
        ]
        used += 512 * width
        local = indices[first : first + own]
        out[place] = table[local[values or [0] * 512]].reshape(8, 8, 8)
        first += own
    assert used == len(bits)
    return out


def decoded_google(data, shape):
    words = np.frombuffer(data, "<u4")
    channel = words[words[0] :]
    out = np.empty(shape, "uint64")
    for i, place in enumerate(cubes_of(shape)):
        table, values = int(channel[2 * i]) & 0xFFFFFF, int(channel[2 * i + 1])
        bits = int(channel[2 * i]) >> 24
        flat = []
        for k in range(512):
            word = int(channel[values + k * bits // 32]) if bits else 0
            index = (word >> (k * bits % 32)) & ((1 << bits) - 1) if bits else 0
            low, high = channel[table + 2 * index : table + 2 * index + 2].tolist()
            flat.append(low | high << 32)
        out[place] = np.array(flat, "uint64").reshape(8, 8, 8)
    return out


def test_faults_are_faults(server):
    url = f"{server.address}/api/node/{UUID}/gray/raw/0_1_2/40_40_40/32_64_-32"
    server.faults.extend([Fault("status", (503, b"busy", {"Retry-After": "1"})), Fault("cut")])
    with requests.Session() as session:
        assert session.get(url).headers["Retry-After"] == "1"
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            session.get(url)
        assert len(session.get(url).content) == 40**3
