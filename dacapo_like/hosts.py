"""Which servers are asked for anything: the policy for the URLs of documents, and for where answers lead on to.

Of the schemes and hosts that the settings allow, all are asked but those that no data can be at: link-local addresses, with those where
clouds give credentials to whoever asks, and addresses of no host. The machine itself and private networks are allowed: what
labs have is there. A name is refused that any such address is found for.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import TypeAlias
from urllib.parse import urlsplit

from dacapo_like import settings
from dacapo_like.errors import KeyPath, SourceError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

REFUSED = "DL202"
"""The code of what the policy refuses."""

_PORTS = {"http": 80, "https": 443}
_METADATA = {  # of Amazon and Google over IPv6, Alibaba, and Azure's agent; of all others it is link-local
    ipaddress.ip_address(address)
    for address in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16")
}
_METADATA_NAMES = {"metadata", "metadata.google.internal", "metadata.goog", "instance-data"}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")
_COMPATIBLE = ipaddress.ip_network("::/96")


def check_server(
    scheme: str, host: str, port: int | None = None, *, key: KeyPath, resolve: bool = True
) -> None:
    """See that a server may be asked.

    Parameters
    ----------
    scheme : str
        Of the URL.
    host : str
        Its name or address.
    port : int, optional
        By default that of the scheme.
    key : key path
        Of the URL, for errors.
    resolve : bool
        Look for the addresses of the name; one that has none is not refused here, it cannot be reached.

    Raises
    ------
    SourceError
        It may not; the code is DL202.

    Examples
    --------
    >>> check_server("http", "127.0.0.1", 8000, key=("file_name",))
    >>> check_server("http", "169.254.169.254", key=("file_name",))
    Traceback (most recent call last):
    ...
    dacapo_like.errors.SourceError: this host is never asked (got 169.254.169.254, a link-local address)
    """
    allowed = settings.current()
    if scheme not in allowed.url_schemes:
        raise SourceError(
            "URLs of this kind are not allowed",
            got=f"{scheme}://",
            expected=f"one of {', '.join(f'{known}://' for known in allowed.url_schemes)}"
            if allowed.url_schemes
            else "files only",
            hint="the setting `url_schemes` says which are",
            key=key,
            code=REFUSED,
        )
    name = host.lower().rstrip(".")
    if allowed.url_hosts and not any(_fits(name, pattern) for pattern in allowed.url_hosts):
        raise SourceError(
            "this host is not among those that are allowed",
            got=host,
            expected=f"one of {', '.join(allowed.url_hosts)}",
            hint="the setting `url_hosts` says which are",
            key=key,
            code=REFUSED,
        )
    reason = "where clouds give credentials" if name in _METADATA_NAMES else None
    if not name.isascii():
        reason = "a name that may be read as another one; write it in punycode (xn--…)"
    found = _addresses(name, port or _PORTS.get(scheme, 0)) if resolve and reason is None else ()
    reason = next(filter(None, map(forbidden, found)), reason)
    if reason is not None:
        raise SourceError(
            "this host is never asked", got=f"{host}, {reason}", key=key, code=REFUSED
        )


def _fits(name: str, pattern: str) -> bool:
    pattern = pattern.lower().rstrip(".")
    return name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern


def _addresses(name: str, port: int) -> Iterator[str]:
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # whoever connects will say that there is no such host
        return
    for *_, address in found:
        yield str(address[0])


def forbidden(address: str) -> str | None:
    """Say why an address is never asked; ``None`` where it may be.

    Examples
    --------
    >>> forbidden("::ffff:169.254.169.254"), forbidden("10.0.0.7")
    ('a link-local address', None)
    """
    for found in _meant(ipaddress.ip_address(address)):
        if found in _METADATA:
            return "where clouds give credentials"
        if found.is_link_local:
            return "a link-local address"
        if found.is_multicast or found.is_unspecified or str(found) == "255.255.255.255":
            return "no address of a host"
        if found in _THIS_NETWORK:
            return "no address of a host"
    return None


def _meant(address: Address) -> Iterator[Address]:
    """Give an address, and those of IPv4 that it leads on to."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            address = ipaddress.IPv6Address(int(address))
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
            inner.append(low)
        yield from (found for found in inner if found is not None)
    yield address


def same_server(old: str, new: str) -> bool:
    """Whether a URL leads to the server of another one, where a redirect may lead: TLS may begin, and not end.

    Examples
    --------
    >>> same_server("http://a.example/x", "https://a.example/y"), same_server("http://a.example", "http://b.example")
    (True, False)
    """
    before, after = urlsplit(old), urlsplit(new)
    if before.hostname != after.hostname or after.scheme not in _PORTS:
        return False
    if before.scheme == "http" and after.scheme == "https":
        return before.port in (None, 80) and after.port in (None, 443)
    default = _PORTS.get(before.scheme)
    same_port = (before.port or default) == (after.port or default)
    return before.scheme == after.scheme and same_port
