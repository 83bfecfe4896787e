"""Secrets: a config holds the name of the environment variable that has one, and only what opens a URL learns its value."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from dacapo_like.errors import SourceError

_QUERY = re.compile(r"\?.*", re.DOTALL)
_SECRET = re.compile(r"\$\{secret:([A-Za-z_][A-Za-z0-9_]*)\}")


def secret_reference(variable: str) -> str:
    """Give the text that stands for a secret wherever a config is kept, shown or compared.

    Examples
    --------
    >>> secret_reference("SIGNATURE")
    '${secret:SIGNATURE}'
    """
    return f"${{secret:{variable}}}"


def holds_secret(text: str) -> bool:
    """Whether a secret stands in a text.

    Examples
    --------
    >>> holds_secret("https://example.org/a.zarr?sig=${secret:SIGNATURE}")
    True
    """
    return _SECRET.search(text) is not None


def without_queries(data: Any) -> Any:
    """Leave out, of plain data of a document, the queries of URLs, which may be signatures; those that only name a secret stay.

    Examples
    --------
    >>> without_queries({"file_name": "https://example.org/a.zarr?sig=1f00", "sizes": [1]})
    {'file_name': 'https://example.org/a.zarr', 'sizes': [1]}
    """
    if isinstance(data, str):
        return data if "://" not in data else _QUERY.sub(_only_named, data)
    if isinstance(data, Mapping):
        return {key: without_queries(item) for key, item in data.items()}
    return [without_queries(item) for item in data] if isinstance(data, (list, tuple)) else data


def _only_named(query: re.Match[str]) -> str:
    named = "&".join(part for part in query[0][1:].split("&") if holds_secret(part))
    return f"?{named}" if named else ""


def reveal(text: str) -> str:
    """Put secrets into a text. What is returned is not to be kept, shown or compared.

    Raises
    ------
    SourceError
        A variable is not set.
    """

    def value(reference: re.Match[str]) -> str:
        found = os.environ.get(reference[1])
        if found is None:
            raise SourceError(
                "the environment variable of a secret is not set",
                got=reference[1],
                hint="set it where the program runs; a document only names it",
                key=("file_name",),
                code="DL122",
            )
        return found

    return _SECRET.sub(value, text)
