"""How fsspec asks web servers, where TensorStore does not: as that does, it follows no redirect; and it asks no address that the policy refuses."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from dacapo_like.hosts import forbidden

if TYPE_CHECKING:
    import aiohttp


def http_options() -> dict[str, Any]:
    """Give the options of fsspec's file system for http and https."""
    return {"get_client": _client, "allow_redirects": False}


async def _client(**options: Any) -> aiohttp.ClientSession:
    import aiohttp  # of the extra `remote`
    from aiohttp.resolver import ThreadedResolver

    class Resolver(ThreadedResolver):
        """Finds addresses where a connection is made: they may be others than when the name was judged."""

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[Any]:
            found = await super().resolve(host, port, family)
            for each in found:
                reason = forbidden(each["host"])
                if reason is not None:
                    raise OSError(errno.EACCES, f"never asked: {reason}")
            return list(found)

    async def refuse_redirects(answer: aiohttp.ClientResponse) -> None:
        if 300 <= answer.status < 400:
            raise OSError(f"status {answer.status}: redirects are not followed")

    connector = aiohttp.TCPConnector(resolver=Resolver())
    return aiohttp.ClientSession(connector=connector, raise_for_status=refuse_redirects, **options)
