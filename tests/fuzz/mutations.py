"""New inputs from old ones: documents are changed as trees, as lines, as words and as bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

from dacapo_like.config.document import parse_document, write_document
from dacapo_like.errors import DacapoLikeError

from .seeds import format_byte, seeds, words
from .target import FORMATS

NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 255, 256, 2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64),
    *(10**18, 10**30, -(10**30), 10**300, 10**399, 0.0, -0.0, 0.1, 0.5, -0.5, 9.8, 1e-9, 5e-324, 1e308, -1e308),
    *(math.nan, math.inf, -math.inf),
)  # fmt: skip
TEXTS = (
    *("", " ", "a", "\0", "a\nb", "a\x1fb", "\u202eb", "\ufeff", "é", "0", "-1", "1e5", "null", "true", "~", "<<", "x" * 1000),
    *("${x}", "$${x}", "${", "${x", "${crop_shape}", "${root:x}/a", "${root:}", "${secret:HOME}", "${${x}}", "a${x}b${y}"),
    *("../../../etc/passwd", "/etc/passwd", "/dev/zero", "~nosuchuser/x", "~/x", "file:///etc/passwd", "a.zarr?x#y", ".", "/"),
    *("http://169.254.169.254/latest", "http://[fe80::1]/", "http://[::1", "http://u:p@h/", "s3://b/k", "gs://b", "https://h:99999/"),
    *("1/2", "10/3", "1/0", "-1/3", "1" * 300 + "/3", "RAS", "uint8", "float128", "object", "O", "<M8[s]", "V99999999999", "(3,)f4"),
)  # fmt: skip
RAW = (
    *("!!python/tuple [1]", "!!python/object/apply:os.system [ls]", "!!int x", "!!binary aa", "!<tag:yaml.org,2002:str> 1"),
    *("*a", "&a 1", "&a [*a]", "{<<: *a}", "? [1] : 2", ".nan", ".inf", "0x1F", "0o17", "010", "1_000", "1:30", "yes", "on", "2024-01-01"),
    *("1e400", "1e99999999999", "0." + "1" * 399, "9" * 400, "9" * 401, "'", '"', "\t", "\\", "[", "]", "{", "}", "#", "---", "...", "%TAG"),
    *('"""', "'''", "inf", "nan", "07:32:00", "1979-05-27T07:32:00Z", "[[a]]", "[a.b.c]", "NaN", "Infinity", "-Infinity", '"\\ud800"', "\\u0000"),
)  # fmt: skip


def mutated(data: bytes, random: Random) -> bytes:
    """Change an input, once or a few times.

    Parameters
    ----------
    data : bytes
        An input, as `target` takes it.
    random : Random
        What decides.
    """
    for _ in range(random.choice((1, 1, 1, 2, 3, 5))):
        change = random.choice(_CHANGES)
        data = change(data, random)
    return data


# Bytes, words and lines


def _bytes(data: bytes, random: Random) -> bytes:
    body = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(body))
        match random.randrange(4):
            case 0:
                body[at:at] = bytes([random.randrange(256)])
            case 1:
                del body[at : at + random.randint(1, 8)]
            case 2 if at < len(body):
                body[at] ^= 1 << random.randrange(8)
            case _:
                end = at + random.randint(1, 40)
                body[at:at] = body[at:end] * random.choice((1, 2, 20))
    return bytes(body)


def _words(data: bytes, random: Random) -> bytes:
    """Put a word, or what means something to a parser, in the place of another word or between two."""
    form, text = data[:1], data[1:].decode("utf-8", "replace")
    spans = [i for i, character in enumerate(text) if character in " :,[]{}=\n\"'"]
    start = random.choice(spans) + 1 if spans else 0
    end = start
    while random.random() < 0.9 and end < len(text) and text[end] not in " :,[]{}=\n":
        end += 1
    new = random.choice((*RAW, *TEXTS)) if random.random() < 0.6 else random.choice(words())
    return form + f"{text[:start]}{new}{text[end:]}".encode("utf-8", "replace")


def _lines(data: bytes, random: Random) -> bytes:
    lines = data[1:].split(b"\n")
    at = random.randrange(len(lines))
    match random.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, random.choice(lines))
        case 2:
            lines.insert(at, random.choice(random.choice(seeds())[1:].split(b"\n")))
        case 3:
            lines[at] = b" " * random.randint(1, 4) + lines[at]
        case 4:
            lines[at] = lines[at].lstrip()
        case _:
            key = b".".join(word.encode() for word in random.sample(words(), random.randint(1, 3)))
            value = random.choice((*RAW, *TEXTS)).encode("utf-8", "replace")
            lines.insert(at, b"#set " + key + b"=" + value)
    return data[:1] + b"\n".join(lines)


def _spliced(data: bytes, random: Random) -> bytes:
    other = random.choice(seeds())
    return data[: random.randint(0, len(data))] + other[random.randint(1, len(other)) :]


def _another_format(data: bytes, random: Random) -> bytes:
    return bytes([random.randrange(256)]) + data[1:]


# Trees


def _tree(data: bytes, random: Random) -> bytes:
    tree = _parsed(data)
    if tree is None:
        tree = _tree_of_seed(random.randrange(len(seeds())))
    for _ in range(random.randint(1, 4)):
        tree = _changed(tree, random)
    return written(tree, random)


def _parsed(data: bytes) -> Any:
    form = FORMATS[data[0] % 3] if data else "yaml"
    try:
        return parse_document(data[1:].decode("utf-8", "replace"), format=form).data
    except DacapoLikeError:
        return None


@cache
def _tree_of_seed(number: int) -> Any:
    return _parsed(seeds()[number])


def written(tree: Any, random: Random) -> bytes:
    """Write a tree in one of the formats, as input; JSON, which is YAML, where the format has not all of it."""
    form = random.choice(FORMATS)
    if form != "json" and random.random() < 0.7:
        try:
            return format_byte(form) + write_document(tree, form).encode("utf-8", "surrogatepass")
        except (DacapoLikeError, RecursionError):
            form = "yaml"
    text = json.dumps(
        tree, default=str, indent=random.choice((None, 1)), ensure_ascii=random.random() < 0.5
    )
    return format_byte("json" if form == "json" else "yaml") + text.encode("utf-8", "surrogatepass")


def _changed(tree: Any, random: Random) -> Any:
    """Change a tree at a place of its own."""
    places = list(_places(tree))
    path = random.choice(places)
    return _with(tree, path, lambda value: _new_value(value, tree, places, random))


def _places(tree: Any, path: tuple[Any, ...] = ()) -> Any:
    yield path
    if len(path) < 80 and isinstance(tree, (dict, list)):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _places(value, (*path, key))


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def _with(tree: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(tree)
    copied = dict(tree) if isinstance(tree, dict) else list(tree)
    copied[path[0]] = _with(copied[path[0]], path[1:], change)
    return copied


def _new_value(value: Any, tree: Any, places: list[tuple[Any, ...]], random: Random) -> Any:
    match random.randrange(12):
        case 0 | 1 | 2:
            return random.choice(NUMBERS)
        case 3 | 4:
            return random.choice(TEXTS)
        case 5:
            return random.choice(words())
        case 6:
            return _at(tree, random.choice(places))
        case 7:
            other = _tree_of_seed(random.randrange(len(seeds())))
            return _at(other, random.choice(list(_places(other))))
        case 8:
            for _ in range(random.choice((1, 2, 70))):
                value = [value] if random.random() < 0.5 else {random.choice(words()): value}
            return value
        case 9:
            return random.choice(
                (
                    None,
                    True,
                    False,
                    [],
                    {},
                    [[]],
                    [None],
                    [0, 0, 0],
                    [-1, -1, -1],
                    [10**30] * 3,
                    "dummy",
                )
            )
        case 10:
            return _array_over(value, random)
        case _:
            return _reshaped(value, random)


def _array_over(value: Any, random: Random) -> Any:
    """Wrap a value, taken for an array, into an operator."""
    fields = {
        random.choice(words()): random.choice((*NUMBERS, *TEXTS))
        for _ in range(random.randint(0, 2))
    }
    inner = value if random.random() < 0.5 else {"type": "dummy"}
    return {"type": random.choice(words()), "source": inner, **fields}


def _reshaped(value: Any, random: Random) -> Any:
    """Add to, take from, or turn around a list or mapping."""
    if isinstance(value, dict):
        items = list(value.items())
        random.shuffle(items)
        items = items[random.randint(0, 1) :]
        return dict([*items, (random.choice(words()), random.choice((*NUMBERS, *TEXTS)))])
    if isinstance(value, list):
        return [*reversed(value)] if random.random() < 0.3 else value * random.choice((0, 2, 2, 30))
    return {"env": "HOME", "secret": random.random() < 0.3} if random.random() < 0.2 else [value]


_CHANGES = (_bytes, _words, _words, _lines, _spliced, _another_format, _tree, _tree, _tree, _tree)
