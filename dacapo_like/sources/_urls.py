"""URLs of buckets and web servers, and the options that say how to get at them."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import attrs

from dacapo_like.errors import ConfigError, KeyPath, SourceError, did_you_mean
from dacapo_like.hosts import check_server
from dacapo_like.sources._fsspec_http import http_options

Option: TypeAlias = str | int | bool

_OPTIONS: Mapping[str, Mapping[str, type]] = {
    "s3": {
        "anon": bool,
        "endpoint_url": str,
        "profile": str,
        "region": str,
        "requester_pays": bool,
    },
    "gs": {"anon": bool, "user_project": str},
    "http": {"anon": bool},
    "https": {"anon": bool},
}
KEY: KeyPath = ("file_name",)
ENDPOINT: KeyPath = ("storage_options", "endpoint_url")
_SECRETS = ("key", "secret", "token", "password", "passwd", "credential", "username", "headers")
_SECRET_PARTS = re.compile(r"(?<=://)[^/?#]*@|\?.*")
_HOSTS = {"s3": "s3.amazonaws.com", "gs": "storage.googleapis.com"}  # of buckets
_WHERE_SECRETS_BELONG = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a `profile` of ~/.aws/credentials",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS",
}


def check_options(file_name: str, options: Mapping[str, Option]) -> None:
    """See that options are those of the file name's kind of store, and hold no secret.

    Raises
    ------
    ConfigError
        They are not.
    """
    scheme = file_name.partition("://")[0].lower() if "://" in file_name else ""
    known = _OPTIONS.get(scheme, {})
    for name, value in options.items():
        key = ("storage_options", name)
        if any(word in name.lower() for word in _SECRETS):
            raise ConfigError(
                "a document holds no secrets",
                got=f"the option {name!r}",
                hint=_WHERE_SECRETS_BELONG.get(scheme, "keep it in the environment"),
                key=key,
                code="DL110",
            )
        if name not in known:
            raise ConfigError(
                "unknown storage option" if known else "storage options are for URLs",
                got=repr(name),
                expected=f"one of {', '.join(known)}" if known else None,
                hint=did_you_mean(name, known),
                key=key,
                code="DL110",
            )
        if type(value) is not known[name]:
            raise ConfigError(
                "a storage option of the wrong type",
                got=repr(value),
                expected="true or false" if known[name] is bool else "text",
                key=key,
                code="DL103",
            )


def shown(file_name: str) -> str:
    """Give a file name for messages: a URL without what may be secret, a user and a query.

    Examples
    --------
    >>> shown("https://example.org/a.zarr?X-Amz-Signature=1f00")
    'https://example.org/a.zarr'
    """
    return _SECRET_PARTS.sub("", file_name) if "://" in file_name else file_name


@attrs.frozen
class Url:
    """A place on a network.

    Attributes
    ----------
    parts : SplitResult
        Of the URL, without a slash at the end of its path.
    options : mapping
        ``storage_options``.
    """

    parts: SplitResult
    options: Mapping[str, Option]

    def __str__(self) -> str:
        return urlunsplit(self.parts._replace(query=""))

    @property
    def lists(self) -> bool:
        """Whether the server says what is in a folder."""
        return self.parts.scheme == "s3" or (self.parts.scheme == "gs" and not self._anonymous)

    @property
    def _anonymous(self) -> bool:
        return bool(self.options.get("anon", False))

    def check_server(self) -> None:
        """See that the policy allows to ask the server.

        Raises
        ------
        SourceError
            It does not; the code is DL202.
        """
        parts, key = self.parts, KEY
        if "endpoint_url" in self.options:
            parts = _endpoint(str(self.options["endpoint_url"]))
            key = ENDPOINT
        elif parts.scheme in _HOSTS:
            check_server(parts.scheme, _HOSTS[parts.scheme], key=key, resolve=False)
            return
        check_server(self.parts.scheme, parts.hostname or "", parts.port, key=key)

    def parents(self) -> Iterator[tuple[Url, str]]:
        """Give what is above, up to the bucket or host, each with the name of the folder that leads back down."""
        path = self.parts.path
        while path.strip("/"):
            path, name = posixpath.split(path)
            path = path.rstrip("/")
            yield attrs.evolve(self, parts=self.parts._replace(path=path)), unquote(name)

    def kvstore(self, *, folder: bool) -> dict[str, Any]:
        """Give TensorStore's spec of it, as a folder or as a file."""
        scheme, host, path, query, _ = self.parts
        key = path.lstrip("/") + ("/" if folder and path else "")
        if scheme == "s3":
            return {"driver": "s3", "bucket": host, "path": key, **self._s3()}
        if scheme == "gs" and not self._anonymous:
            project = self.options.get("user_project")
            more = {} if project is None else {"gcs_user_project": {"project_id": project}}
            return {"driver": "gcs", "bucket": host, "path": key, **more}
        if scheme == "gs":  # TensorStore would look for credentials
            scheme, host, path = "https", "storage.googleapis.com", f"/{host}{path}"
        base_url = urlunsplit((scheme, host, f"{path}/" if folder else path, query, ""))
        return {"driver": "http", "base_url": base_url, "path": ""}

    def _s3(self) -> dict[str, Any]:
        spec: dict[str, Any] = {}
        for option, name in (
            ("endpoint_url", "endpoint"),
            ("region", "aws_region"),
            ("requester_pays", "requester_pays"),
        ):
            if option in self.options:
                spec[name] = self.options[option]
        if self._anonymous:
            spec["aws_credentials"] = {"type": "anonymous"}
        elif "profile" in self.options:
            spec["aws_credentials"] = _profile(str(self.options["profile"]))
        return spec

    def for_fsspec(self) -> tuple[str, dict[str, Any]]:
        """Give fsspec's URL of it, and the options of the file system.

        Raises
        ------
        SourceError
            It has a query, with which fsspec would not ask for what is below.
        """
        if self.parts.query:
            raise SourceError("what is below a URL with a query is read through TensorStore only")
        scheme = self.parts.scheme
        if scheme == "s3":
            same = {k: v for k, v in self.options.items() if k != "region"}
            region = self.options.get("region")
            return str(self), same if region is None else {
                **same,
                "client_kwargs": {"region_name": region},
            }
        if scheme == "gs":
            project = self.options.get("user_project")
            options = {"token": "anon"} if self._anonymous else {}
            return str(self), options | ({} if project is None else {"requester_pays": project})
        return str(self), http_options()


def _profile(name: str) -> dict[str, str]:
    """Name a profile with its files: TensorStore does not look for them where one is named."""
    home = Path("~/.aws").expanduser()
    return {
        "type": "profile",
        "profile": name,
        "credentials_file": os.environ.get(
            "AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials")
        ),
        "config_file": os.environ.get("AWS_CONFIG_FILE", str(home / "config")),
    }


def _endpoint(url: str) -> SplitResult:
    """Take the address of a server of buckets apart; it is not repeated where it may hold a secret."""
    try:
        parts = urlsplit(url)
        sound = parts.port is None or parts.port > 0
    except ValueError:
        sound = False
    if not sound or parts.scheme not in ("http", "https") or not parts.hostname or "@" in url:
        raise SourceError(
            "not the address of a server",
            expected="http://host or https://host, without a user or a password",
            key=ENDPOINT,
        )
    return parts


def refuse_user(file_name: str) -> None:
    """Refuse a URL with a user or password, which is not repeated: what holds it would keep it.

    Raises
    ------
    ConfigError
        It has one.
    """
    if (
        "://" in file_name
        and "@" in re.split(r"[/?#]", file_name.partition("://")[2], maxsplit=1)[0]
    ):
        raise ConfigError(
            "a document holds no secrets",
            got="a URL with a user or password",
            expected="the URL without them",
            key=("file_name",),
            code="DL110",
        )


def parse_url(file_name: str, options: Mapping[str, Option]) -> Url:
    """Take a URL apart.

    Raises
    ------
    SourceError
        Nothing is read from there.
    """
    try:
        parts = urlsplit(file_name)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise SourceError("not a URL", got=error, key=("file_name",)) from error
    scheme = parts.scheme.lower()
    if scheme not in _OPTIONS:
        raise SourceError(
            "unknown kind of URL",
            got=f"{scheme}://",
            expected=", ".join(f"{known}://" for known in _OPTIONS),
            hint=did_you_mean(scheme, _OPTIONS),
            key=("file_name",),
        )
    if "@" in parts.netloc or not host or parts.fragment:
        raise SourceError(
            "not a URL that is read from",
            expected=f"{scheme}://{'bucket' if scheme in ('s3', 'gs') else 'host'}/path, without a user, a password or a fragment",
            key=("file_name",),
        )
    if scheme in ("s3", "gs") and parts.query:
        raise SourceError(
            "a bucket's URL has no query", got=str(Url(parts, {})), key=("file_name",)
        )
    path = parts.path.rstrip("/")
    return Url(parts._replace(scheme=scheme, path=path), dict(options))
