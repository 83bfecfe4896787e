"""Strict hooks for numbers, text, choices and regions: nothing is converted that the author did not write."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any, get_args

from dacapo_like.errors import ConfigError, did_you_mean
from dacapo_like.geometry import Coordinate, Roi


def wrong_type(value: Any, expected: str) -> ConfigError:
    """Make the error for a value of the wrong type."""
    hint = None
    if isinstance(value, str) and expected.rsplit(maxsplit=1)[-1] in (
        "number",
        "integer",
        "true or false",
    ):
        hint = "write it without quotes"
    return ConfigError(
        "wrong type of value", got=shorten(value), expected=expected, hint=hint, code="DL103"
    )


def shorten(value: Any) -> str:
    """Show a value in a message."""
    if isinstance(value, bool):
        return str(value).lower()
    names = {dict: "a mapping", list: "a list", type(None): "nothing (null)"}
    if type(value) in names:
        return names[type(value)]
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# Scalars


def structure_int(value: Any, _: type) -> int:
    """Take an integer, and nothing that merely looks like one."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(value, "an integer")
    return value


def structure_float(value: Any, _: type) -> float:
    """Take a finite number as a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise wrong_type(value, "a number")
    try:
        number = float(value)
    except (OverflowError, ValueError):  # the latter: a signalling NaN of decimal's
        number = float("inf")
    if not isfinite(number):
        raise ConfigError(
            "not a finite number", got=shorten(value), expected="a number", code="DL103"
        )
    return number


def structure_number(value: Any, _: type) -> int | float:
    """Take a number; an integer stays one."""
    return (
        value
        if isinstance(value, int) and not isinstance(value, bool)
        else structure_float(value, float)
    )


def structure_bool(value: Any, _: type) -> bool:
    """Take true or false, and no text that spells it."""
    if not isinstance(value, bool):
        raise wrong_type(value, "true or false")
    return value


def structure_str(value: Any, _: type) -> str:
    """Take text."""
    if not isinstance(value, str):
        raise wrong_type(value, "text")
    return value


def structure_literal(value: Any, literal: Any) -> Any:
    """Take one of the choices."""
    choices = get_args(literal)
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        raise ConfigError(
            "not one of the choices",
            got=shorten(value),
            expected=f"one of {', '.join(map(str, choices))}",
            hint=did_you_mean(str(value), map(str, choices)),
            code="DL104",
        )
    return value


# Geometry


def structure_coordinate(value: Any, _: type) -> Coordinate:
    """Take a list of exact numbers."""
    if not isinstance(value, (list, tuple)):
        raise wrong_type(value, "a list of numbers, one per spatial axis")
    return Coordinate(value)


def structure_roi(value: Any, _: type) -> Roi:
    """Take ``{offset: …, shape: …}``, or DaCapo's pair of lists."""
    if isinstance(value, Mapping) and set(value) == {"offset", "shape"}:
        offset, shape = value["offset"], value["shape"]
    elif isinstance(value, (list, tuple)) and len(value) == 2:
        offset, shape = value
    else:
        raise wrong_type(value, "a region {offset: [...], shape: [...]}")
    roi = Roi(structure_coordinate(offset, Coordinate), structure_coordinate(shape, Coordinate))
    if any(size < 0 for size in roi.shape):
        raise ConfigError("shape of a region is negative", got=roi, expected="sizes of at least 0")
    return roi
