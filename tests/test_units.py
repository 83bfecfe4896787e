"""Against ome-zarr-py's list of units and the constants of scipy."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ome_zarr.axes import KNOWN_SPATIAL_UNITS
from scipy import constants

from dacapo_like.errors import ConfigError
from dacapo_like.units import LENGTH_UNITS, length_factor, length_name

units = st.sampled_from(LENGTH_UNITS)
PREFIXES = [unit.removesuffix("meter") for unit in LENGTH_UNITS if unit.endswith("meter")]


def test_the_units_are_those_of_ome_ngff():
    assert sorted(LENGTH_UNITS) == sorted(KNOWN_SPATIAL_UNITS)


@pytest.mark.parametrize("prefix", [prefix for prefix in PREFIXES if prefix])
def test_metric_factors_are_powers_of_ten(prefix):
    factor = length_factor(f"{prefix}meter", "meter")
    assert factor == Fraction(Decimal(repr(getattr(constants, prefix))))


@pytest.mark.parametrize("unit", ["inch", "foot", "yard", "mile", "angstrom"])
def test_other_factors_are_their_definitions(unit):
    assert float(length_factor(unit, "meter")) == pytest.approx(getattr(constants, unit), rel=1e-15)


def test_ratios_of_imperial_units_are_whole():
    for (large, small), count in {
        ("foot", "inch"): 12,
        ("yard", "foot"): 3,
        ("mile", "yard"): 1760,
    }.items():
        assert length_factor(large, small) == count
    assert length_factor("inch", "centimeter") == Fraction(254, 100)


def test_a_parsec_is_that_of_the_iau():
    # IAU 2015, resolution B2: 648000 / pi astronomical units
    assert float(length_factor("parsec", "meter")) == pytest.approx(constants.parsec, rel=1e-15)


@given(units, units, units)
def test_factors_are_exact_and_chain(a, b, c):
    assert length_factor(a, b) * length_factor(b, c) == length_factor(a, c)
    assert length_factor(a, a) == 1
    assert isinstance(length_factor(a, b), Fraction)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("nm", "nanometer"),
        ("um", "micrometer"),
        ("\N{MICRO SIGN}m", "micrometer"),
        ("\N{GREEK SMALL LETTER MU}m", "micrometer"),
        ("micron", "micrometer"),
        ("microns", "micrometer"),
        ("mm", "millimeter"),
        ("m", "meter"),
        ("\N{LATIN CAPITAL LETTER A WITH RING ABOVE}", "angstrom"),
        ("\N{ANGSTROM SIGN}", "angstrom"),
        ("Angstroms", "angstrom"),
        ("Nanometers", "nanometer"),
        ("millimetres", "millimeter"),
        ("METRE", "meter"),
        ("in", "inch"),
        ("pc", "parsec"),
        ("pm", "picometer"),
    ],
)
def test_other_spellings(spelling, name):
    assert length_name(spelling) == name


@given(units)
def test_names_of_ome_ngff_are_themselves(unit):
    assert length_name(unit) == unit
    assert length_name(f"{unit}s") == unit


@pytest.mark.parametrize("unit", ["", "s", "pixel", "Nm", "MM", "second", "nanometer^3", "u"])
def test_what_is_no_unit_of_length_is_refused(unit):
    with pytest.raises(ConfigError, match="unknown unit of length"):
        length_name(unit)
    with pytest.raises(ConfigError):
        length_factor("nm", unit)


def test_a_mistyped_unit_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'nanometer'"):
        length_name("nannometer")


def test_metric_units_are_listed_from_large_to_small():
    sizes = [length_factor(f"{prefix}meter", "meter") for prefix in PREFIXES]
    assert all(a > b for a, b in pairwise(sizes))
