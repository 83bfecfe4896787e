"""Who may ask: programs of this machine, and who knows the token."""

from __future__ import annotations

import hmac
import ipaddress
import re

import attrs
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL_ORIGIN = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
"""Pages that may read what is served, by default."""

_PORT = re.compile(r":\d+$")


def is_loopback(host: str) -> bool:
    """Whether a name of a host means this machine and nothing else.

    Examples
    --------
    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@attrs.define
class Guard:
    """Lets requests through to an application.

    Without a token they have to name this machine: a page of a foreign host whose name was made to lead here names that. With one
    they have to show it, as ``Authorization: Bearer TOKEN``, or as the first part of the path, which clients that append to a URL
    keep.

    Attributes
    ----------
    app : ASGI application
        That answers.
    token : str or None
        That is asked for.
    """

    app: ASGIApp
    token: str | None = attrs.field(default=None, repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.token is None:
            host = _PORT.sub("", Headers(scope=scope).get("host", ""))
            if is_loopback(host):
                await self.app(scope, receive, send)
                return
            refusal = PlainTextResponse(f"this server answers to localhost, not to {host!r}\n", 421)
            await refusal(scope, receive, send)
            return
        inner = self._shown(scope, self.token)
        if inner is None:
            refusal = PlainTextResponse(
                "the token is missing, or wrong\n", 401, {"www-authenticate": "Bearer"}
            )
            await refusal(scope, receive, send)
            return
        await self.app(inner, receive, send)

    @staticmethod
    def _shown(scope: Scope, token: str) -> Scope | None:
        """Give the request without the token that it shows; ``None``: it shows none."""
        said = Headers(scope=scope).get("authorization", "")
        if _same(said, f"Bearer {token}") or scope["path"] == "/health":
            return scope
        first, _, rest = scope["path"].removeprefix("/").partition("/")
        if not _same(first, token):
            return None
        return {**scope, "path": f"/{rest}", "root_path": f"{scope.get('root_path', '')}/{first}"}


def _same(a: str, b: str) -> bool:
    return hmac.compare_digest(a.encode(), b.encode())
