"""A local HTTP server that answers as a DVID server does, and fails as one may.

What it says to each request was learned from the answers of a real one; `test_dvid_server` compares the two.
"""

from __future__ import annotations

import gzip
import itertools
import json
import struct
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import attrs
import numpy as np

UUID = "0a4ba0fd774049a7892be123ebe2efb2"
PAYLOAD_LIMIT = 3221225472
BUFFERED = 2048  # bytes up to which Go's server knows the length of a body before it sends it
PACKAGE = "github.com/janelia-flyem/dvid/datatype"


@attrs.define
class Volume:
    """A data instance; arrays and geometry in the order z, y, x.

    `levels` are the voxels at each scale; `bodies` give, for supervoxels, the label that they were merged into.
    """

    type_name: str
    levels: list[np.ndarray]
    first: tuple[int, int, int] = (0, 0, 0)
    voxel_size: tuple[Any, Any, Any] = (8, 8, 8)
    units: tuple[str, ...] = ("nanometers",) * 3
    block: tuple[int, int, int] = (32, 32, 32)
    data_uuid: str = "0" * 32
    empty: bool = False
    bodies: dict[int, int] = attrs.field(factory=dict)

    @property
    def is_labels(self):
        return self.type_name.startswith("label")

    @property
    def itemsize(self):
        return self.levels[0].dtype.itemsize

    def info(self, name):
        labels = self.type_name in ("labelmap", "labelarray")
        kind = self.levels[0].dtype.name
        extents = {"MinPoint": None, "MaxPoint": None}
        indices = {"MinIndex": None, "MaxIndex": None}
        if not self.empty:
            last = [a + n - 1 for a, n in zip(self.first, self.levels[0].shape, strict=True)]
            extents = {"MinPoint": self.first[::-1], "MaxPoint": last[::-1]}
            indices = {
                key: [p // b for p, b in zip(point, self.block, strict=True)][::-1]
                for key, point in (("MinIndex", self.first), ("MaxIndex", last))
            }
        most = int(self.levels[0].max()) if labels else 0
        return {
            "Base": {
                "TypeName": self.type_name,
                "TypeURL": f"{PACKAGE}/{self.type_name}"
                if self.is_labels
                else f"{PACKAGE}/imageblk/{kind}.go",
                "TypeVersion": "0.2" if self.type_name == "uint8blk" else "0.1",
                "DataUUID": self.data_uuid,
                "Name": name,
                "RepoUUID": UUID,
                "Compression": f"{'gzip' if self.is_labels else 'LZ4'} compression, level -1",
                "Checksum": "No checksum",
                "Syncs": [],
                "Versioned": True,
                "KVStore": "badger @ /data/db",
                "LogStore": "write logs @ /data/mut",
                "Tags": {},
            },
            "Extended": {
                "Values": [{"DataType": kind, "Label": self.type_name if self.is_labels else kind}],
                "Interpolable": not self.is_labels,
                "BlockSize": self.block[::-1],
                "VoxelSize": self.voxel_size[::-1],
                "VoxelUnits": self.units[::-1],
                **extents,
                **indices,
                "Background": 0,
                "GridStore": "",
                "ScaleLevel": 0,
            }
            | (
                {
                    "MaxLabel": {"1": most},
                    "MaxRepoLabel": most,
                    "NextLabel": 0,
                    "IndexedLabels": True,
                    "MaxDownresLevel": len(self.levels) - 1,
                }
                if labels
                else {}
            ),
            "Extents": extents,
        }

    def read(self, offset, shape, scale=0, *, supervoxels=False):
        """Give a box; zeros where there is nothing."""
        found = np.zeros(shape, self.levels[0].dtype)
        if self.empty or scale >= len(self.levels):
            return found
        level = self.levels[scale]
        first = [-(-a // 2**scale) for a in self.first]
        mine, theirs = [], []
        for o, n, a, m in zip(offset, shape, first, level.shape, strict=True):
            low, high = max(o, a), max(min(o + n, a + m), o, a)
            mine.append(slice(low - o, high - o))
            theirs.append(slice(low - a, high - a))
        found[tuple(mine)] = level[tuple(theirs)]
        return found if supervoxels else self.merged(found)

    def merged(self, labels):
        merged = labels.copy()
        for supervoxel, body in self.bodies.items():
            merged[labels == supervoxel] = body
        return merged


def make_gray():
    """Make the voxels of the captured `gray`."""
    return np.random.default_rng(0).integers(1, 255, (64, 96, 128), dtype="uint8")


def make_supervoxels():
    """Make the voxels of the captured `seg`, before two labels were merged."""
    z, y, x = np.ogrid[0:128, 0:128, 0:128]
    return ((z // 16) * 100 + (y // 16) * 10 + x // 16 + 1 + 2**40).astype("uint64")


def captured_volumes():
    """Give the instances of the server whose answers were captured."""
    supervoxels = make_supervoxels()
    zeros = np.zeros((32, 32, 32), "uint8")
    return {
        "gray": Volume(
            "uint8blk",
            [make_gray()],
            first=(-32, 64, 32),
            voxel_size=(40, 5, 4),
            data_uuid="b0f633d3f6cc43a39656a477e35821e8",
        ),
        "seg": Volume(
            "labelmap",
            [supervoxels[::n, ::n, ::n] for n in (1, 2, 4)],  # its regions are larger than that
            voxel_size=(40, 8, 8),
            block=(64, 64, 64),
            data_uuid="981a3f4b05314e59a12121bbc5e7f1a6",
            bodies={2 + 2**40: 1 + 2**40},
        ),
        "empty": Volume(
            "uint8blk", [zeros], data_uuid="00200733a85a48f2b04045e665a6a1eb", empty=True
        ),
        "u16": Volume(
            "uint16blk", [zeros.astype("uint16")], data_uuid="58da70224bc24f5889608ed60a4b844b"
        ),
        "f32": Volume(
            "float32blk", [zeros.astype("float32")], data_uuid="b87db029ae34446283ff053807dd3477"
        ),
    }


# What DVID and Neuroglancer compress labels into


def sub_blocks(labels, edge=8):
    """Walk over the cubes of a block, x the fastest, each as a flat array, x the fastest."""
    for start in itertools.product(*(range(0, n, edge) for n in labels.shape)):
        yield labels[tuple(slice(o, o + edge) for o in start)].ravel()


def dvid_block(supervoxels, volume):
    """Encode a block as DVID stores it: a table of labels, and per cube of 8 the indices into a table of its own."""
    table: dict[int, int] = {}
    counts, indices, packed = [], [], b""
    for cube in sub_blocks(supervoxels):
        own = list(dict.fromkeys(cube.tolist()))
        indices += [table.setdefault(label, len(table)) for label in own]
        counts.append(len(own))
        bits = (len(own) - 1).bit_length()
        if bits:
            values = np.array([own.index(label) for label in cube.tolist()])
            planes = (values[:, None] >> np.arange(bits)[::-1]) & 1
            packed += np.packbits(planes.astype("uint8").ravel()).tobytes()
    labels = volume.merged(np.array(list(table), "uint64"))
    header = struct.pack("<4I", *(n // 8 for n in supervoxels.shape[::-1]), len(labels))
    if len(labels) == 1:
        return header + labels.tobytes()
    parts = (labels, np.array(counts, "<u2"), np.array(indices, "<u4"))
    return header + b"".join(part.tobytes() for part in parts) + packed


def google_segmentation(labels):
    """Encode labels as Neuroglancer's compressed segmentation, with cubes of 8."""
    cubes = list(sub_blocks(labels))
    header, words = [], []
    for cube in cubes:
        table, values = np.unique(cube, return_inverse=True)
        bits = next(b for b in (0, 1, 2, 4, 8, 16, 32) if 2**b >= len(table))
        here = 2 * len(cubes) + len(words)
        for start in range(0, len(values) * bits, 32):
            part = values[start // bits : start // bits + 32 // bits].tolist()
            words.append(sum(value << (i * bits) for i, value in enumerate(part)))
        header += [2 * len(cubes) + len(words) | bits << 24, here]
        words += table.view("<u4").tolist()
    return np.array([1, *header, *words], "<u4").tobytes()


# Answers


@attrs.define
class Answer:
    status: int
    kind: str
    body: bytes
    headers: dict[str, str] = attrs.field(factory=dict)


class Refused(Exception):  # noqa: N818  # DVID's own word is an error of another kind
    pass


def octets(body, **headers):
    return Answer(200, "application/octet-stream", body, headers)


def numbers(text):
    found = []
    for part in text.split("_"):
        try:
            found.append(int(part))
        except ValueError:
            raise Refused(f'strconv.ParseInt: parsing "{part}": invalid syntax') from None
    return found


def point(values):
    return "(" + ",".join(map(str, values)) + ")"


def box_of(volume, size_text, offset_text):
    size, offset = numbers(size_text), numbers(offset_text)
    if min(size) < 1:
        raise Refused(
            f"Illegal geometry requested: 3d volume {point(size)} at offset {point(offset)}"
        )
    payload = int(np.prod(size, dtype=object)) * volume.itemsize
    if payload > PAYLOAD_LIMIT:
        raise Refused(
            f"Requested payload ({payload} bytes) exceeds this DVID server's set limit ({PAYLOAD_LIMIT})"
        )
    return offset[::-1], size[::-1]


def compressed(voxels, compression):
    plain = voxels.astype(voxels.dtype.newbyteorder("<")).tobytes()
    match compression:
        case "":
            return octets(plain)
        case "gzip":
            return octets(gzip.compress(plain, mtime=0))
        case "googlegzip":
            encoded = gzip.compress(google_segmentation(voxels), mtime=0)
            return octets(encoded, **{"Content-Encoding": "gzip"})
    raise Refused(f'unknown compression type "{compression}"')


def raw(volume, query, _dims, size, offset):
    box = box_of(volume, size, offset)
    if not volume.is_labels:  # which know neither scales nor compression
        return compressed(volume.read(*box), "")
    scale = int(query.get("scale", "0")) if volume.type_name != "labelblk" else 0
    voxels = volume.read(*box, scale, supervoxels=query.get("supervoxels") == "true")
    return compressed(voxels, query.get("compression", ""))


def blocks_in(volume, offset, shape):
    ranges = [range(o, o + n, b) for o, n, b in zip(offset, shape, volume.block, strict=True)]
    for start in itertools.product(*ranges):
        yield [s // b for s, b in zip(start, volume.block, strict=True)], start


def framed(index, payload):
    return struct.pack("<4i", *index[::-1], len(payload)) + payload


def subvolblocks(volume, query, size, offset):
    assert query.get("compression") == "uncompressed"
    return octets(
        b"".join(
            framed(index, volume.read(start, volume.block).tobytes())
            for index, start in blocks_in(volume, *box_of(volume, size, offset))
        )
    )


def blocks(volume, query, size, offset):
    first, shape = box_of(volume, size, offset)
    if any(v % b for values in (first, shape) for v, b in zip(values, volume.block, strict=True)):
        last = [o + n - 1 for o, n in zip(first, shape, strict=True)]
        raise Refused(
            "cannot use labels via 'blocks' endpoint in non-block aligned geometry "
            f"{point(first[::-1])} -> {point(last[::-1])}"
        )
    found = b""
    for index, start in blocks_in(volume, first, shape):
        supervoxels = volume.read(start, volume.block, supervoxels=True)
        if query.get("compression") == "blocks":
            payload = dvid_block(supervoxels, volume)
        else:
            payload = volume.merged(supervoxels).tobytes()
        found += framed(index, gzip.compress(payload, mtime=0))
    return octets(found)


CALLS = {"raw": raw, "subvolblocks": subvolblocks, "blocks": blocks}


# The server


@attrs.define
class Fault:
    """What happens to one request instead of an answer, or to its answer."""

    kind: str
    value: Any = None


class DVIDServer(ThreadingHTTPServer):
    """Serves volumes on a free port of this computer.

    Attributes
    ----------
    requests : list
        Path and query of each request in order, without what says who asks.
    seen : list
        Headers of each request.
    faults : deque of Fault
        What happens to the next requests for voxels.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, volumes, token=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.volumes = volumes
        self.token = token
        self.replayed = {}
        self.prefix = ""
        self.requests, self.seen, self.named = [], [], []
        self.faults, self.info_faults = deque(), deque()
        self.closing = threading.Event()
        self.lock = threading.Lock()
        self.delay = 0.0
        self.connections = self.in_flight = self.most_in_flight = 0

    def handle_error(self, request, client_address):
        """Say nothing of clients that hang up, which some tests make them do."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}{self.prefix}"

    def source(self, name, uuid=UUID):
        return (self.address, uuid, name)

    def voxel_requests(self):
        return [path for path in self.requests if "/info" not in path]

    def repeated(self):
        return {path: n for path, n in Counter(self.voxel_requests()).items() if n > 1}

    def find(self, uuid, name):
        if not UUID.startswith(uuid.partition(":")[0]):
            raise Refused(f"could not find UUID with partial match to {uuid}")
        if name not in self.volumes:
            raise Refused("invalid data instance name")
        return self.volumes[name]

    def answer(self, target):
        """Answer a path below the server, with its query."""
        url = urlsplit(target)
        path = unquote(url.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        api, node, uuid, name, call, *rest = path.strip("/").split("/")
        assert (api, node) == ("api", "node")
        try:
            volume = self.find(uuid, name)
            if call == "info":
                text = json.dumps(volume.info(name), separators=(",", ":"))
                return Answer(200, "application/json", text.encode())
            return CALLS[call](volume, query, *rest)
        except Refused as error:
            return Answer(
                400,
                "text/plain; charset=utf-8",
                f"{error} ({path}).\n".encode(),
                {"X-Content-Type-Options": "nosniff"},
            )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20
    disable_nagle_algorithm = True
    server: DVIDServer

    def setup(self):
        super().setup()
        with self.server.lock:
            self.server.connections += 1

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        fault = self.note()
        try:
            time.sleep(server.delay)
            self.answer(fault)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with server.lock:
                server.in_flight -= 1

    def note(self):
        server, url = self.server, urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        with server.lock:
            server.in_flight += 1
            server.most_in_flight = max(server.most_in_flight, server.in_flight)
            server.named.append((query.get("u"), query.get("app")))
            server.requests.append(self.asked())
            server.seen.append(dict(self.headers))
            faults = server.info_faults if url.path.endswith("/info") else server.faults
            return faults.popleft() if faults else Fault("none")

    def answer(self, fault):
        server = self.server
        if server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
            return self.send(Answer(401, "text/plain", b"a token is needed\n"))
        answer = server.replayed.get(self.asked()) or server.answer(
            self.path.removeprefix(server.prefix)
        )
        match fault.kind:
            case "none":
                return self.send(answer)
            case "status":
                status, text, headers = fault.value
                return self.send(Answer(status, "text/plain", text, headers))
            case "html":
                return self.send(Answer(200, "text/html", b"<html>Please log in</html>"))
            case "body":
                answer.body = fault.value(answer.body)
                return self.send(answer)
            case "redirect":
                return self.send(
                    Answer(302, "text/plain", b"", {"Location": fault.value + self.path})
                )
            case "bytes":
                self.wfile.write(fault.value)
                self.close_connection = True
                return None
            case "drop":
                self.close_connection = True
                return None
            case "cut" | "stall" | "trickle":
                return self.spoil(fault, answer)
        raise AssertionError(fault)

    def asked(self):
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        asked = "&".join(f"{k}={query[k]}" for k in sorted(query) if k not in ("u", "app"))
        return url.path + (f"?{asked}" if asked else "")

    def send(self, answer):
        self.head(answer)
        if len(answer.body) <= BUFFERED:
            self.wfile.write(answer.body)
            return
        for start in range(0, len(answer.body), 32768):
            self.chunk(answer.body[start : start + 32768])
        self.wfile.write(b"0\r\n\r\n")

    def head(self, answer):
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        for key, value in answer.headers.items():
            self.send_header(key, value)
        if len(answer.body) <= BUFFERED:
            self.send_header("Content-Length", str(len(answer.body)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, part):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.flush()

    def spoil(self, fault, answer):
        """Send part of an answer, then nothing, or hardly anything."""
        self.close_connection = True
        self.head(answer)
        part = answer.body[: len(answer.body) // 2]
        write = self.wfile.write if len(answer.body) <= BUFFERED else self.chunk
        if fault.kind == "trickle":
            for i in range(len(part)):
                if self.server.closing.wait(fault.value):
                    return
                write(part[i : i + 1])
                self.wfile.flush()
            return
        write(part)
        self.wfile.flush()
        if fault.kind == "stall":
            self.server.closing.wait(fault.value)


@contextmanager
def serving(volumes=None, **options) -> Iterator[DVIDServer]:
    """Run a server for as long as the block lasts."""
    server = DVIDServer(captured_volumes() if volumes is None else volumes, **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
