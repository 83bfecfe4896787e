"""The server: the application on a port."""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import uvicorn

from dacapo_like.core import Array
from dacapo_like.errors import ConfigError, SourceError
from dacapo_like.serving.access import is_loopback
from dacapo_like.serving.app import Application
from dacapo_like.serving.catalog import Catalog

PATIENCE = 30.0
"""Seconds that a server may take to start, or to end."""


class Server:
    """Serves arrays as OME-Zarr images; as a context manager, from a thread.

    Parameters
    ----------
    arrays : Catalog or mapping of str to Array
        By name.
    host : str
        Of this machine; any but a loopback one needs a token.
    port : int
        0 for any that is free.
    token : str, optional
        That clients have to show. ``"new"`` makes one.
    **options
        ``origins``, ``readers`` and ``waiting``, see `Application`.

    Attributes
    ----------
    url : str
        Of the images, which are at ``URL/NAME``; with the token, if there is one.

    Raises
    ------
    ConfigError
        The host is no loopback one, and there is no token.
    SourceError
        The port is taken.

    Examples
    --------
    >>> import numpy as np, zarr, dacapo_like
    >>> array = dacapo_like.from_numpy(np.arange(6, dtype="uint8").reshape(2, 3), voxel_size=(4, 4), units="nm")
    >>> with Server({"raw": array}) as server:
    ...     zarr.open_array(f"{server.url}/raw/0", mode="r")[1, :]
    array([3, 4, 5], dtype=uint8)
    """

    def __init__(
        self,
        arrays: Catalog | Mapping[str, Array],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        **options: object,
    ) -> None:
        if token is None and not is_loopback(host):
            raise ConfigError(
                "others could read it from there",
                got=f"host {host}",
                expected="127.0.0.1, or a token that clients have to show",
                hint='token="new" (--token new) makes one',
            )
        self._token = secrets.token_urlsafe(24) if token == "new" else token  # noqa: S105  # the word that asks for one
        catalog = arrays if isinstance(arrays, Catalog) else Catalog.of(arrays)
        self.application = Application(catalog, token=self._token, **options)  # type: ignore[arg-type]  # its own options
        self._host = host
        self._socket = _bound(host, port)
        self._server = uvicorn.Server(
            uvicorn.Config(self.application, log_config=None, access_log=False, lifespan="off")
        )
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Of the images."""
        name = f"[{self._host}]" if ":" in self._host else self._host
        base = f"http://{name}:{self._socket.getsockname()[1]}"
        return base if self._token is None else f"{base}/{self._token}"

    def run(self) -> None:
        """Serve in this thread until it is interrupted."""
        with contextlib.suppress(KeyboardInterrupt):
            self._server.run(sockets=[self._socket])

    def __enter__(self) -> Self:
        """Serve from a thread."""
        self._thread = threading.Thread(target=self.run, name="dacapo_like serve", daemon=True)
        self._thread.start()
        end = time.monotonic() + PATIENCE
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise SourceError("the server does not start", where=self.url)
            time.sleep(0.005)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(PATIENCE)


def _bound(host: str, port: int) -> socket.socket:
    """Take a port now, so that its number is known before anybody is served."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen()  # who is told the URL may ask at once
    except OSError as error:
        made.close()
        raise SourceError(
            "the port cannot be used",
            got=error.strerror,
            where=f"{host}:{port}",
            hint="another port, or 0 for any that is free",
        ) from error
    return made
