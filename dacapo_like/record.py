"""What our own files say of an array beyond their format's metadata, so that a copy does not move and loses nothing.

Written as one mapping under the key ``dacapo_like`` of a file's attributes::

    anchor      "center" | "corner": what the stored translations name
    kind        "image" | "labels" | "mask"
    directions  unit vectors of the spatial axes, where they are not the world's own
    units       of the spatial axes, where the format has no word for one of them
    channels    names along axis c, where the format has no place for them
    exact       per path of a level, its ``scale`` and ``translation`` as ratios, where no double is exact;
                of a plain array, whose path is empty, its ``voxel_size`` and ``offset``
    attributes  whatever else the writer was asked to keep
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import attrs

from dacapo_like.errors import ConfigError, SourceError
from dacapo_like.geometry import Exact, exact
from dacapo_like.spec import Anchor, ArraySpec, Directions, Kind

NAMESPACE = "dacapo_like"


def stored_number(value: Exact) -> int | float:
    """Give the JSON number nearest to a value; `exact` of it is the value itself wherever a double can say it.

    Examples
    --------
    >>> from fractions import Fraction
    >>> stored_number(Fraction(49, 5)), stored_number(Fraction(10, 3)), stored_number(2**53 + 1)
    (9.8, 3.3333333333333335, 9007199254740993)
    """
    near = float(value)
    return value if isinstance(value, int) and exact(near) != value else near


@attrs.frozen(kw_only=True)
class Record:
    """What is recorded; ``None`` where nothing is.

    Attributes
    ----------
    anchor, kind, directions, units, channels
        As in `ArraySpec`.
    numbers : mapping
        Exact numbers by path of a level and by what they are.
    """

    anchor: Anchor | None = None
    kind: Kind | None = None
    directions: Directions | None = None
    units: tuple[str | None, ...] | None = None
    channels: tuple[str, ...] | None = None
    numbers: Mapping[str, Mapping[str, tuple[Exact, ...]]] = attrs.field(factory=dict)

    def restore(self, path: str, name: str, stored: Sequence[Exact]) -> tuple[Exact, ...]:
        """Give the exact numbers behind stored ones; those that somebody changed since stay as they are stored."""
        recorded = self.numbers.get(path, {}).get(name, ())
        if len(recorded) != len(stored):
            return tuple(stored)
        return tuple(
            ours if exact(stored_number(ours)) == theirs else theirs
            for ours, theirs in zip(recorded, stored, strict=True)
        )


def write_record(
    spec: ArraySpec,
    numbers: Mapping[str, Mapping[str, Sequence[Exact]]],
    attributes: Mapping[str, Any] | None = None,
    *,
    units: bool = False,
    channels: bool = False,
) -> dict[str, Any]:
    """Make the mapping that `read_record` reads.

    Parameters
    ----------
    spec : ArraySpec
        Of the finest level.
    numbers : mapping
        By path of a level, or an empty one, and by what they are; kept where a double is not exact.
    attributes : mapping, optional
        Further JSON to keep.
    units : bool
        Keep the units, because the format has no word for one of them.
    channels : bool
        Keep the names of the channels, because the format has no place for them.
    """
    record: dict[str, Any] = {"anchor": spec.anchor, "kind": spec.kind}
    if spec.directions is not None:
        record["directions"] = [list(direction) for direction in spec.directions]
    if units:
        record["units"] = list(spec.units)
    if channels and spec.channels is not None:
        record["channels"] = list(spec.channels)
    inexact = {
        path: {name: [_ratio(value) for value in values] for name, values in by_name.items()}
        for path, by_name in numbers.items()
        if any(exact(stored_number(v)) != v for values in by_name.values() for v in values)
    }
    if inexact:
        record["exact"] = inexact
    if attributes:
        record["attributes"] = dict(attributes)
    return record


def _ratio(value: Exact) -> int | str:
    return value if isinstance(value, int) else f"{value.numerator}/{value.denominator}"


def read_record(attributes: Mapping[str, Any], where: str) -> Record:
    """Read what is recorded in the attributes of a file; of a file that is not ours, nothing.

    Raises
    ------
    SourceError
        It is not what we write.
    """
    record = attributes.get(NAMESPACE)
    if record is None:
        return Record()
    try:
        return Record(
            anchor=_choice(record.get("anchor"), Anchor),
            kind=_choice(record.get("kind"), Kind),
            directions=_directions(record.get("directions")),
            units=None if record.get("units") is None else tuple(record["units"]),
            channels=None
            if record.get("channels") is None
            else tuple(map(str, record["channels"])),
            numbers={
                path: {name: tuple(map(exact, values)) for name, values in by_name.items()}
                for path, by_name in record.get("exact", {}).items()
            },
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise SourceError(
            f"attribute {NAMESPACE!r} is not what this package writes",
            got=str(error),
            where=where,
            hint=f"remove {NAMESPACE!r} from the file's attributes",
        ) from error


def _choice(value: Any, choices: Any) -> Any:
    if value is not None and value not in get_args(choices):
        raise ConfigError("unknown value", got=repr(value), expected=" or ".join(get_args(choices)))
    return value


def _directions(value: Any) -> Directions | None:
    if value is None:
        return None
    return tuple(tuple(float(part) for part in direction) for direction in value)
