"""Units of length: the ones that OME-NGFF names, and exact factors between them."""

from __future__ import annotations

from fractions import Fraction

from dacapo_like.errors import ConfigError, did_you_mean

_METRES: dict[str, Fraction] = {
    "yottameter": Fraction(10**24),
    "zettameter": Fraction(10**21),
    "exameter": Fraction(10**18),
    "petameter": Fraction(10**15),
    "terameter": Fraction(10**12),
    "gigameter": Fraction(10**9),
    "megameter": Fraction(10**6),
    "kilometer": Fraction(10**3),
    "hectometer": Fraction(100),
    "meter": Fraction(1),
    "decimeter": Fraction(1, 10),
    "centimeter": Fraction(1, 100),
    "millimeter": Fraction(1, 10**3),
    "micrometer": Fraction(1, 10**6),
    "nanometer": Fraction(1, 10**9),
    "angstrom": Fraction(1, 10**10),
    "picometer": Fraction(1, 10**12),
    "femtometer": Fraction(1, 10**15),
    "attometer": Fraction(1, 10**18),
    "zeptometer": Fraction(1, 10**21),
    "yoctometer": Fraction(1, 10**24),
    "inch": Fraction(254, 10**4),
    "foot": Fraction(3048, 10**4),
    "yard": Fraction(9144, 10**4),
    "mile": Fraction(1609344, 10**3),
    "parsec": Fraction(30856775814913673),  # IAU 2015: 648000/pi au, to the metre
}
_SYMBOLS = {
    "km": "kilometer",
    "m": "meter",
    "dm": "decimeter",
    "cm": "centimeter",
    "mm": "millimeter",
    "um": "micrometer",
    "\u00b5m": "micrometer",
    "\u03bcm": "micrometer",
    "micron": "micrometer",
    "microns": "micrometer",
    "nm": "nanometer",
    "\u00c5": "angstrom",
    "\u212b": "angstrom",
    "A": "angstrom",
    "pm": "picometer",
    "fm": "femtometer",
    "in": "inch",
    "ft": "foot",
    "yd": "yard",
    "mi": "mile",
    "pc": "parsec",
}
LENGTH_UNITS = tuple(_METRES)
"""The names that OME-NGFF 0.4 and 0.5 allow for axes of type ``space``."""


def length_name(unit: str) -> str:
    """Give OME-NGFF's name of a unit of length.

    Raises
    ------
    ConfigError
        Not a unit of length.

    Examples
    --------
    >>> length_name("um"), length_name("nanometers"), length_name("millimetre")
    ('micrometer', 'nanometer', 'millimeter')
    """
    if unit in _METRES:
        return unit
    if unit in _SYMBOLS:
        return _SYMBOLS[unit]
    name = unit.lower().replace("metre", "meter").removesuffix("s")
    if name in _METRES:
        return name
    raise ConfigError(
        "unknown unit of length",
        got=repr(unit),
        expected="an OME-NGFF length unit such as nanometer, nm, um or mm",
        hint=did_you_mean(unit, (*_METRES, *_SYMBOLS)),
    )


def length_factor(unit: str, into: str) -> Fraction:
    """Give the exact number of `into` units in one `unit`.

    Examples
    --------
    >>> length_factor("um", "nm")
    Fraction(1000, 1)
    """
    return _METRES[length_name(unit)] / _METRES[length_name(into)]
