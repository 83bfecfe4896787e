"""Bytes from a DVID server: GET requests that are repeated where that may help, and bounded in time, size and number.

Nothing here knows what the bytes mean. A token is looked up in the environment for each request and kept nowhere.
"""

from __future__ import annotations

import getpass
import os
import re
import threading
import time
import weakref
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from random import SystemRandom
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

import attrs

from dacapo_like.errors import ReadError, SourceError
from dacapo_like.hosts import REFUSED, forbidden, same_server

if TYPE_CHECKING:
    import requests
    import urllib3

T = TypeVar("T")

_BUSY = frozenset({408, 429, 502, 503, 504})  # asking again may be answered
_REFUSED = frozenset({401, 403, 407})
_FIRST_PAUSE = 0.25  # seconds; doubled for every repeat
_LONGEST_PAUSE = 15.0
_MOST_REDIRECTS = 5
_PIECE = 2**18  # bytes that are asked of a socket, and inflated, at a time
_LONGEST_MESSAGE = 500  # characters of what a server says that an error repeats
_GZIP = 31  # zlib's `wbits` for gzip
_LOGIN = (
    "a web page came: the address may be another server's, or this one wants a token (`token_env`)"
)
_UNKNOWN = "set `token_env` to the environment variable that holds your token, and check the token"
_random = SystemRandom()


class CancelledError(Exception):
    """Nobody waits for the answer any more."""


class _RefusedError(Exception):
    """The policy of hosts does not allow to ask there; no OSError, which urllib3 would take for a connection that failed."""


class _BusyError(Exception):
    """No usable answer, but the next one may be.

    Parameters
    ----------
    what : str
        What came instead.
    pause : float
        Seconds that the server asks to wait.
    """

    def __init__(self, what: str, pause: float = 0.0) -> None:
        super().__init__(what)
        self.pause = pause


@attrs.frozen(kw_only=True)
class Patience:
    """How long and how often a server is asked.

    Attributes
    ----------
    timeout : float
        Seconds without a byte after which an answer is given up.
    deadline : float
        Seconds for one request, its repeats and pauses included, after which no more is begun or received.
    retries : int
        How often a request is repeated.
    """

    timeout: float
    deadline: float
    retries: int


@attrs.frozen(kw_only=True)
class Request:
    """One GET.

    Attributes
    ----------
    path : str
        Below the server's address, quoted.
    query : mapping
        Beside the user's and the program's name.
    most : int
        Bytes of the body, decompressed, at most.
    least : int
        Bytes of the body at least.
    compressed : bool
        The body is a gzip stream, though no header says so.
    where : str
        For errors.
    error : type
        Of the error when there is no answer.
    """

    path: str
    query: dict[str, str] = attrs.field(factory=dict)
    most: int
    least: int = 0
    compressed: bool = False
    where: str
    error: type[SourceError] = ReadError


class Server:
    """Gives the answers of one server, to any number of threads and, after a fork, processes.

    Connections are kept for the next request; each belongs to one thread at a time. They are closed, and the threads end,
    when the server is no longer referred to.

    Parameters
    ----------
    address : str
        URL of the server, without a slash at its end.
    token_env : str or None
        Environment variable that holds the token.
    patience : Patience
        For each request.
    most : int
        Requests in flight.
    """

    def __init__(
        self, address: str, *, token_env: str | None, patience: Patience, most: int
    ) -> None:
        self.address = address
        self._token_env = token_env
        self._patience = patience
        self._most = most
        self._names = {"app": "dacapo_like"} | _user()
        self._answered = False
        self._in_process = _InProcess(most)

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Call a function, which asks this server, in another thread once fewer than the most requests are in flight."""
        return self._own().threads.submit(function, *args)

    def get(self, request: Request, stop: threading.Event | None = None) -> bytearray:
        """Give the body of an answer, decompressed.

        Parameters
        ----------
        request : Request
            What to ask for.
        stop : Event, optional
            Once set, the answer is not waited for.

        Raises
        ------
        SourceError
            Of the request's class: no answer, or not one that can be used.
        CancelledError
            `stop` was set.
        """
        stop = stop or threading.Event()
        deadline = time.monotonic() + self._patience.deadline
        repeats = 0
        while True:
            if stop.is_set():
                raise CancelledError
            try:
                body = self._attempt(request, deadline, stop)
            except _BusyError as fault:
                self._pause(request, fault, repeats, deadline, stop)
                repeats += 1
            else:
                return body

    def _pause(
        self,
        request: Request,
        fault: _BusyError,
        repeats: int,
        deadline: float,
        stop: threading.Event,
    ) -> None:
        """Wait before the next attempt, or say that there is none."""
        longest = min(_FIRST_PAUSE * 2**repeats, _LONGEST_PAUSE)
        pause = max(longest * _random.uniform(0.5, 1), fault.pause)
        if repeats >= self._patience.retries or time.monotonic() + pause >= deadline:
            times = "once" if not repeats else f"{repeats + 1} times"
            raise request.error(
                "the server gives no usable answer",
                got=f"{fault}; asked {times}",
                where=request.where,
                hint="try again later, or allow more with `retries`, `timeout` and `deadline`",
                key=("source",),
            ) from fault
        stop.wait(pause)

    def _attempt(self, request: Request, deadline: float, stop: threading.Event) -> bytearray:
        import urllib3  # heavy

        token = Token.of(self._token_env, request.error)
        with self._session(token) as session, self._response(session, request, deadline) as answer:
            self._answered = True
            pieces = _received(answer, deadline, stop)
            try:
                if answer.status_code != 200:
                    raise _refusal(answer, _message(pieces, token), request)
                return _collect(_decoded(pieces, answer, request), answer, request)
            except urllib3.exceptions.ReadTimeoutError as error:
                raise _BusyError("nothing more came in time") from error
            except urllib3.exceptions.HTTPError as error:
                raise _BusyError(f"the connection broke off: {_reason(error)}") from error

    def _response(
        self, session: requests.Session, request: Request, deadline: float
    ) -> requests.Response:
        """Give an answer of which the body has not been received."""
        import requests  # heavy

        left = max(deadline - time.monotonic(), 0.001)
        try:
            return session.get(
                f"{self.address}{request.path}",
                params=request.query | self._names,
                headers={"Accept-Encoding": "identity"},
                stream=True,
                timeout=min(self._patience.timeout, left),
            )
        except _RefusedError as error:
            raise request.error(
                "the server leads where nothing is asked for",
                got=error,
                expected="answers of its own",
                where=request.where,
                key=("source",),
                code=REFUSED,
            ) from None
        except requests.exceptions.ReadTimeout as error:
            raise _BusyError("no answer in time") from error
        except (requests.exceptions.RequestException, ValueError) as error:
            if self._may_pass(error):
                raise _BusyError(f"the connection failed: {_reason(error)}") from error
            raise self._unreachable(request, error) from error

    def _may_pass(self, error: Exception) -> bool:
        """Whether a connection that failed is worth another one: not if there never was one."""
        import requests  # heavy

        failed = isinstance(error, requests.exceptions.ConnectionError)
        distrusted = isinstance(error, requests.exceptions.SSLError)
        return failed and not distrusted and (self._answered or not _never_connected(error))

    def _unreachable(self, request: Request, error: Exception) -> SourceError:
        return request.error(
            "the server cannot be reached",
            got=_reason(error),
            where=request.where,
            hint="check the first part of `source`, and that the server runs",
            key=("source",),
        )

    @contextmanager
    def _session(self, token: Token | None) -> Iterator[requests.Session]:
        """Lend a session to one thread; only while it is lent it knows the token."""
        idle = self._own().idle
        try:
            session = idle.pop()
        except IndexError:
            session = _new_session()
        session.auth = token
        try:
            yield session
        finally:
            session.auth = None
            idle.append(session)

    def _own(self) -> _InProcess:
        """Give what belongs to this process: a forked one shares neither sockets nor threads with its parent."""
        if self._in_process.pid != os.getpid():
            self._in_process = _InProcess(self._most)
        return self._in_process


class _InProcess:
    """Threads and idle sessions of one process."""

    def __init__(self, most: int) -> None:
        self.pid = os.getpid()
        self.threads = ThreadPoolExecutor(most, thread_name_prefix="dvid")
        self.idle: deque[requests.Session] = deque()
        weakref.finalize(self, _close, self.idle)


def _close(idle: deque[requests.Session]) -> None:
    while idle:
        idle.pop().close()


def _new_session() -> requests.Session:
    kind, adapter = _guarded()
    session = kind()
    session.max_redirects = _MOST_REDIRECTS
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter())
    return session


@cache
def _guarded() -> tuple[type[requests.Session], type[requests.adapters.HTTPAdapter]]:
    """Give a session that is led to no other server, and what connects for it and looks whom it has reached.

    A name may have another address by then than when it was judged.
    """
    import requests  # heavy
    import urllib3

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> str | None:
            target = super().get_redirect_target(resp)
            if target is not None and (elsewhere := _elsewhere(resp.url, target)) is not None:
                resp.close()
                raise _RefusedError(f"a redirect to {elsewhere}")
            return target

    class HTTPConnection(urllib3.connection.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _judge_peer(self)

    class HTTPSConnection(urllib3.connection.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            _judge_peer(self)

    class HTTPPool(urllib3.HTTPConnectionPool):
        ConnectionCls = HTTPConnection

    class HTTPSPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = HTTPSConnection

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            pools = {"http": HTTPPool, "https": HTTPSPool}
            self.poolmanager.pool_classes_by_scheme = pools

    return Session, Adapter


def _elsewhere(url: str, target: str) -> str | None:
    """Name the server that a redirect leads to; ``None`` where it is the same."""
    try:
        leads_to = urljoin(url, target)
        if same_server(url, leads_to):
            return None
        return urlsplit(leads_to).hostname or "nowhere"
    except ValueError:  # no URL
        return "nowhere"


def _judge_peer(connection: urllib3.connection.HTTPConnection) -> None:
    address = str(connection.sock.getpeername()[0]) if connection.sock is not None else ""
    reason = forbidden(address) if address else None
    if reason is not None:
        connection.close()
        raise _RefusedError(f"{address}, {reason}")


class Token:
    """Credentials as requests wants them: asked once per request, and never for a redirect. It shows, and pickles, nothing."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def of(cls, variable: str | None, error: type[SourceError]) -> Token | None:
        """Look a token up in the environment; an error says that the variable is not set, or holds no token."""
        if variable is None:
            return None
        text = os.environ.get(variable, "").strip()
        if not text or not (text.isascii() and text.isprintable()):
            raise error(
                f"environment variable {variable} holds no token",
                got="characters that no token has" if text else "nothing",
                hint=f"set {variable} to the token that the server gave you",
                key=("token_env",),
            )
        return cls(text)

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.headers["Authorization"] = f"Bearer {self._text}"
        return prepared

    def hidden_in(self, text: str) -> str:
        """Give a text without the token."""
        return text.replace(self._text, "…")

    def __repr__(self) -> str:
        return "<Token …>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a token is not pickled")


def _user() -> dict[str, str]:
    """Say who asks, as DVID wants to know it; some containers do not know."""
    try:
        return {"u": getpass.getuser()}
    except (KeyError, OSError, ImportError):
        return {}


def _never_connected(error: Exception) -> bool:
    """Whether there is no such server, rather than one that dropped a connection."""
    import urllib3  # heavy

    reason = getattr(error.args[0] if error.args else None, "reason", None)
    kinds = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return isinstance(reason, (*kinds, urllib3.exceptions.ProxyError))


def _reason(error: BaseException) -> str:
    """Give the innermost reason of an error, in a line."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def one_line(text: str) -> str:
    """Give the printable part of a text that came from elsewhere, shortened."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LONGEST_MESSAGE else f"{line[:_LONGEST_MESSAGE]}…"


# Bodies


def _received(answer: requests.Response, deadline: float, stop: threading.Event) -> Iterator[bytes]:
    """Give a body as it comes: each piece is what has arrived, so that a trickle cannot outlast the deadline."""
    while piece := answer.raw.read1(_PIECE, decode_content=False):
        if stop.is_set():
            raise CancelledError
        if time.monotonic() > deadline:
            raise _BusyError("the answer is not complete at the deadline")
        yield piece


def _decoded(
    pieces: Iterator[bytes], answer: requests.Response, request: Request
) -> Iterator[bytes]:
    """Undo what a header says, or the request knows, of compression."""
    encoding = str(answer.headers.get("Content-Encoding", "")).strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip"}:
        raise request.error(
            "the server compresses in a way that was not asked for",
            got=one_line(encoding),
            expected="gzip or none",
            where=request.where,
            key=("source",),
        )
    for _ in range(("gzip" in encoding) + request.compressed):
        pieces = _inflated(pieces)
    return pieces


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress a gzip stream, never more than a piece ahead of what is taken."""
    stream = zlib.decompressobj(_GZIP)
    for piece in pieces:
        rest, more = piece, True
        while more:
            try:
                found = stream.decompress(rest, _PIECE)
            except zlib.error as error:
                raise _BusyError(f"a damaged gzip stream: {error}") from error
            rest = stream.unconsumed_tail
            more = bool(rest) or len(found) == _PIECE
            if found:
                yield found
        if stream.unused_data:
            raise _BusyError("bytes behind the end of the gzip stream")
    if not stream.eof:
        raise _BusyError("the gzip stream ends too early")


def _collect(pieces: Iterator[bytes], answer: requests.Response, request: Request) -> bytearray:
    """Give the whole body; it has the length that was asked for, or is refused before it is longer."""
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > request.most:
            raise _misfit(f"more than {request.most} bytes", answer, request)
    if len(body) < request.least:
        if _is_html(answer):
            raise _misfit(f"{len(body)} bytes", answer, request)
        raise _BusyError(f"a body of {len(body)} bytes where {request.least} were due")
    return body


def _misfit(got: str, answer: requests.Response, request: Request) -> SourceError:
    kind = one_line(answer.headers.get("Content-Type", "unknown type"))
    return request.error(
        "the server's answer is not what was asked for",
        got=f"{got} of {kind}",
        expected=f"{'at most ' if request.least < request.most else ''}{request.most} bytes",
        where=request.where,
        hint=_LOGIN if _is_html(answer) else None,
        key=("source",),
    )


def _is_html(answer: requests.Response) -> bool:
    return "html" in answer.headers.get("Content-Type", "").lower()


# Refusals


def _message(pieces: Iterator[bytes], token: Token | None) -> str:
    """Give what the server says of an error; DVID says it in a line of text."""
    said = bytearray()
    for piece in pieces:
        said += piece
        if len(said) > 8 * _LONGEST_MESSAGE:
            break
    text = said.decode("utf-8", errors="replace")
    return one_line(text if token is None else token.hidden_in(text))


def _refusal(answer: requests.Response, message: str, request: Request) -> Exception:
    """Make the error, or the reason to ask again, of an answer that is none."""
    status = answer.status_code
    said = "an HTML page" if _is_html(answer) else message
    got = f"status {status}{f': {said}' if said else ''}"
    if status in _BUSY:
        return _BusyError(got, _wanted_pause(answer.headers.get("Retry-After")))
    if status in _REFUSED:
        hint: str | None = _UNKNOWN
        key = ("token_env",)
    else:
        hint, key = _LOGIN if _is_html(answer) else None, ("source",)
    return request.error("the server refuses", got=got, where=request.where, hint=hint, key=key)


def _wanted_pause(value: str | None) -> float:
    """Read ``Retry-After``: seconds, or a date.

    Examples
    --------
    >>> _wanted_pause("3"), _wanted_pause("Thu, 01 Jan 1970 00:00:00 GMT"), _wanted_pause("soon")
    (3.0, 0.0, 0.0)
    """
    from email.utils import parsedate_to_datetime  # slow to import, and rarely wanted

    if value is None:
        return 0.0
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max((date - datetime.now(UTC)).total_seconds(), 0.0)
