"""DVID: images and labels of a server of the Janelia FlyEM kind, read by region over HTTP."""

from __future__ import annotations

import math
import re
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed, wait
from itertools import pairwise, product
from typing import Any
from urllib.parse import quote, urlsplit

import attrs
import numpy as np
from numpy.typing import NDArray

from dacapo_like import settings
from dacapo_like.core import Reader, SourceConfig, about
from dacapo_like.errors import ConfigError, SourceError
from dacapo_like.geometry import Box, box_between
from dacapo_like.hosts import check_server
from dacapo_like.registry import register
from dacapo_like.sources._dvid_http import Patience, Request, Server
from dacapo_like.sources._dvid_info import Instance, parse_info, scaled_image
from dacapo_like.spec import ArraySpec, Kind

_TILE = 2**23  # bytes of voxels that one request asks for, by default
_LONGEST_INFO = 2**24  # bytes
_PARTS = (  # of `source`
    ("uuid", re.compile(r"[0-9A-Za-z][0-9A-Za-z:._~+-]*"), "a UUID, its beginning, or uuid:branch"),
    ("instance", re.compile(r"(?!\.\.?$)[^\s/\\?#%&;:]+"), "the name of a data instance"),
)
_ADDRESS = "for example https://dvid.example.org or http://127.0.0.1:8000"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@register("dvid")
@attrs.frozen(kw_only=True, eq=False, repr=False)
class DVIDArrayConfig(SourceConfig):
    """A data instance of a DVID server: an image (``uint8blk`` … ``float32blk``) or labels (``labelblk``, ``labelarray``, ``labelmap``).

    The array spans the instance's extents, which need not begin at 0 and may be negative, with axes ``z y x``. Around them,
    of an instance that nothing was written to, and at scales that it does not have, a server answers with zeros; here
    these are errors, and nothing is requested.

    At scale s a voxel of a ``labelarray`` or ``labelmap`` is 2^s of the finest along every axis, and the array spans those
    that lie in the extents whole, at their exact place. Of an image, scale s is the instance ``<name>_s``, with extents and a
    voxel size of its own; where that is the one of scale 0, the pyramid's maker left it as it was, and it is 2^s times as much.

    Reads are cut where blocks of the server meet, and several requests are in flight. Answers that say the server is busy,
    break off or are too short are asked for again, with growing pauses. A connection that cannot be made is not tried again
    unless the server has answered before.

    The token is looked up for each request, sent to this server only, and kept nowhere.

    Examples
    --------
    >>> DVIDArrayConfig(source=("https://dvid.example.org", "a89e:master", "segmentation"), scale=2).describe()
    'dvid'
    """

    source: tuple[str, ...] = attrs.field(
        converter=tuple,
        metadata=about(
            "Address of the server; UUID, the beginning of one, or uuid:branch; name of the instance."
        ),
    )
    scale: int = attrs.field(
        default=0,
        metadata=about("0 the finest; each further one is half as fine along every axis."),
    )
    supervoxels: bool = attrs.field(
        default=False, metadata=about("Read a labelmap's supervoxels instead of its bodies.")
    )
    kind: Kind | None = attrs.field(
        default=None,
        metadata=about(
            "How voxels are resampled, viewed and stitched; by default what the instance's type says."
        ),
    )
    token_env: str | None = attrs.field(
        default=None,
        metadata=about(
            "Environment variable that holds the token which the server wants; never the token itself."
        ),
    )
    timeout: float = attrs.field(
        default=30.0,
        converter=float,
        metadata=about("Seconds without a byte after which an answer is given up."),
    )
    deadline: float = attrs.field(
        default=300.0,
        converter=float,
        metadata=about("Seconds after which a request, its repeats included, is given up."),
    )
    retries: int = attrs.field(default=6, metadata=about("How often a request is repeated."))
    max_requests: int = attrs.field(
        default=8,
        metadata=about("Requests in flight at a time, and no more than the settings allow."),
    )
    tile_shape: tuple[int, ...] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(tuple),
        metadata=about(
            "Voxels (z, y, x) that one request asks for, multiples of the instance's blocks; by default about 8 MiB."
        ),
    )

    def __attrs_post_init__(self) -> None:
        _check_source(self.source)
        if self.token_env is not None and not _VARIABLE.fullmatch(self.token_env):
            raise ConfigError(  # says nothing of what was met: it may be a token
                "not the name of an environment variable",
                expected="letters, digits and underscores",
                hint="name the variable that holds the token, not the token",
                key=("token_env",),
            )
        for name, least, most in (("scale", 0, 31), ("retries", 0, 100), ("max_requests", 1, 256)):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(
                    f"`{name}` is out of range",
                    got=getattr(self, name),
                    expected=f"{least} to {most}",
                    key=(name,),
                )
        for name in ("timeout", "deadline"):
            if not 0 < getattr(self, name) <= 86400:
                raise ConfigError(
                    f"`{name}` is out of range",
                    got=f"{getattr(self, name):g} s",
                    expected="more than 0, at most a day (86400)",
                    key=(name,),
                )

    def open(self) -> Reader:
        """Ask the server what the instance is; no voxels.

        Raises
        ------
        SourceError
            The server cannot be reached or refuses, or the instance is not there, is empty, has no such scale, or is not one
            of voxels with a single number.
        """
        address, uuid, name = self.source
        url = urlsplit(address)
        check_server(url.scheme, url.hostname or "", url.port, key=("source", 0))
        server = Server(
            address.rstrip("/"),
            token_env=self.token_env,
            patience=Patience(timeout=self.timeout, deadline=self.deadline, retries=self.retries),
            most=min(self.max_requests, settings.current().requests_in_flight),
        )
        path = quote(f"/api/node/{uuid}/{name}", safe="/:")
        path, instance = self._instance(server, path)
        where = server.address + path
        if instance.extents is None or not instance.extents.size:
            raise SourceError(
                "the instance is empty" if instance.extents is None else "no voxel at this scale",
                got=f"{instance.type_name} at scale {self.scale}",
                expected="an instance that voxels were written to",
                where=where,
                key=("source",) if instance.extents is None else ("scale",),
            )
        self._check_tile(instance, where)
        return _DVIDReader(
            self._spec(instance, instance.extents),
            server,
            path=f"{path}/raw/0_1_2",
            query=self._query(instance),
            origin=instance.extents.offset,
            tile=self.tile_shape,
        )

    def _instance(self, server: Server, path: str) -> tuple[str, Instance]:
        """Find the instance that holds the scale, and say what it is at that scale."""
        finest, where = _info(server, path), server.address + path
        if self.supervoxels and finest.type_name != "labelmap":
            raise SourceError(
                "only a labelmap has supervoxels",
                got=finest.type_name,
                where=where,
                key=("supervoxels",),
            )
        if finest.is_labels:
            return path, finest.downsampled(self.scale, where)
        if not self.scale:
            return path, finest
        coarse = f"{path}_{self.scale}"
        return coarse, scaled_image(finest, _info(server, coarse), self.scale, where)

    def _spec(self, instance: Instance, extents: Box) -> ArraySpec:
        return ArraySpec(
            axes=("z", "y", "x"),
            shape=extents.shape,
            dtype=instance.dtype,
            voxel_size=instance.voxel_size,
            offset=instance.voxel_size * extents.offset,
            units=instance.units,
            kind=self.kind or ("labels" if instance.is_labels else "image"),
            chunk_shape=instance.block_shape,
            attrs={"dvid": {**instance.attributes, "scale": self.scale}},
        )

    def _query(self, instance: Instance) -> dict[str, str]:
        query = {}
        if instance.is_labels:
            query["compression"] = "gzip"
        if instance.is_labels and self.scale:
            query["scale"] = str(self.scale)
        if self.supervoxels:
            query["supervoxels"] = "true"
        return query

    def _check_tile(self, instance: Instance, where: str) -> None:
        block, tile = instance.block_shape, self.tile_shape
        if tile is not None and (
            len(tile) != 3 or any(n < 1 or n % b for n, b in zip(tile, block, strict=True))
        ):
            raise SourceError(
                "tiles do not fit the instance's blocks",
                got=tile,
                expected=f"multiples of {block}",
                where=where,
                key=("tile_shape",),
            )


def _check_source(source: Sequence[str]) -> None:
    if len(source) != 3:
        raise ConfigError(
            "`source` has the wrong number of parts",
            got=len(source),
            expected="3: server, uuid, instance",
            key=("source",),
        )
    _check_address(source[0])
    for i, (part, pattern, expected) in enumerate(_PARTS, start=1):
        if not (pattern.fullmatch(source[i]) and source[i].isprintable()):
            raise ConfigError(
                f"not usable as {part}", got=repr(source[i]), expected=expected, key=("source", i)
            )


def _check_address(address: str) -> None:
    """Refuse what is no address of a server; what may be a secret is not repeated."""
    key = ("source", 0)
    try:
        url = urlsplit(address)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ConfigError("not an address", expected=_ADDRESS, key=key) from None
    if "@" in address:
        raise ConfigError(
            "an address with a user name or password",
            hint="a document is no place for secrets: name an environment variable with `token_env`",
            key=key,
        )
    plain = re.fullmatch(r"[!-~]+", address) and not set(address) & set('?#\\"<>^`{|}')
    if url.scheme not in {"http", "https"} or not host or not plain:
        raise ConfigError(
            "not the address of a server",
            got=repr(address.partition("?")[0]),
            expected=_ADDRESS,
            key=key,
        )


def _info(server: Server, path: str) -> Instance:
    where = server.address + path
    request = Request(path=f"{path}/info", most=_LONGEST_INFO, where=where, error=SourceError)
    return parse_info(server.get(request), where)


def _tile_of(block: Sequence[int], itemsize: int, shape: Sequence[int]) -> tuple[int, ...]:
    """Choose how much of a box one request asks for: whole blocks, along x first, as they lie in the server's store.

    Examples
    --------
    A plane takes larger tiles than a cube.

    >>> _tile_of((64, 64, 64), 8, (500, 500, 500)), _tile_of((64, 64, 64), 8, (1, 5000, 5000))
    ((64, 128, 128), (64, 1024, 1024))
    """
    tile = list(block)
    while True:
        short = [axis for axis in reversed(range(len(tile))) if tile[axis] < shape[axis]]
        if not short or 2 * math.prod(map(min, tile, shape)) * itemsize > _TILE:
            return tuple(tile)
        tile[min(short, key=tile.__getitem__)] *= 2


class _DVIDReader(Reader):
    """Reads boxes tile by tile.

    Parameters
    ----------
    origin : tuple of int
        The array's first voxel, in the instance's indices.
    tile : tuple of int or None
        Voxels of one request; tiles begin at multiples of it. By default chosen for each read.
    """

    read_only = "DVID servers are only read"

    in_threads = True

    def __init__(
        self,
        spec: ArraySpec,
        server: Server,
        *,
        path: str,
        query: dict[str, str],
        origin: tuple[int, ...],
        tile: tuple[int, ...] | None,
    ) -> None:
        self.spec = spec
        self._server = server
        self._path = path
        self._query = query
        self._origin = origin
        self._tile = tile
        self._block = spec.chunk_shape or (1,) * spec.ndim

    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        return self.start(box, out)()

    def start(self, box: Box, out: NDArray[Any] | None = None) -> Callable[[], NDArray[Any]]:
        target = np.empty(box.shape, self.spec.dtype) if out is None else out
        stop = threading.Event()
        wanted = box.shifted(self._origin)
        tile = self._tile or _tile_of(self._block, self.spec.dtype.itemsize, box.shape)
        jobs = [
            self._server.submit(self._fill, target[part.slices_in(wanted)], part, stop)
            for part in _parts(wanted, tile)
        ]

        def get() -> NDArray[Any]:
            unwanted.detach()  # it would keep what an error refers to
            _finish(jobs, stop)
            return target

        unwanted = weakref.finalize(get, _abandon, jobs, stop)
        return get

    def _fill(self, target: NDArray[Any], part: Box, stop: threading.Event) -> None:
        """Read a box of the instance's own indices."""
        dtype = self.spec.dtype.newbyteorder("<")
        size, offset = ("_".join(map(str, reversed(n))) for n in (part.shape, part.offset))
        path, here = f"{self._path}/{size}/{offset}", part.shifted([-n for n in self._origin])
        length = part.size * dtype.itemsize
        body = self._server.get(
            Request(
                path=path,
                query=self._query,
                most=length,
                least=length,
                compressed="compression" in self._query,
                where=f"{self._server.address}{path}, {self.spec.box_to_roi(here)}",
            ),
            stop,
        )
        if not stop.is_set():
            target[...] = np.frombuffer(body, dtype).reshape(part.shape)


def _finish(jobs: Sequence[Future[None]], stop: threading.Event) -> None:
    """Wait for all requests of a read; the first that fails ends the others."""
    try:
        for job in as_completed(jobs):
            job.result()
    except BaseException as error:
        _abandon(jobs, stop)
        if isinstance(error, Exception):  # an interrupt is not kept waiting
            wait(jobs)  # none of them is to write into the caller's array afterwards
        raise


def _abandon(jobs: Sequence[Future[None]], stop: threading.Event) -> None:
    stop.set()
    for job in jobs:
        job.cancel()


def _parts(box: Box, tile: Sequence[int]) -> Iterator[Box]:
    """Cut a box where tiles meet, unless it is no larger than one."""
    if box.size <= math.prod(tile):
        yield box
        return
    cuts = (
        [start, *range((start // n + 1) * n, end, n), end]
        for start, end, n in zip(box.offset, box.end, tile, strict=True)
    )
    for sides in product(*(list(pairwise(c)) for c in cuts)):
        yield box_between([low for low, _ in sides], [high for _, high in sides])
