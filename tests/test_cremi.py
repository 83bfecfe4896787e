"""Annotations of CREMI, in files written as cremi.org describes them and as its own scripts write them."""

from __future__ import annotations

import attrs
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dacapo_like.cremi import SynapticSites, read_synaptic_sites
from dacapo_like.errors import SourceError

PRE, POST = "presynaptic_site", "postsynaptic_site"
LARGE = 2**63 + 1
"""An id that float64 and int64 have not."""

GOOD = {
    "ids": [90, 7, LARGE, 3],
    "types": [POST, PRE, POST, PRE],
    "locations": [[40.0, 4.0, 8.0], [0.0, 0.5, 1.0], [-40.0, 12.0, 4.0], [80.0, 0.0, 0.0]],
    "partners": [[7, 90], [7, LARGE], [3, 90]],
    "offset": (1520.0, 3644.0, 3644.0),
}


def as_ids(values):
    """Give ids as they are stored; wrong ones, as numpy has them."""
    wrong = any(
        isinstance(value, float) or value < 0 for value in np.ravel(np.array(values, object))
    )
    return np.array(values) if wrong else np.array(values, "uint64")


def write(path, **changes):
    """Write a file as cremi_python does: format 0.2."""
    parts = {key: value for key, value in (GOOD | changes).items() if value is not None}
    with h5py.File(path, "w") as file:
        file.attrs["file_format"] = "0.2"
        raw = file.create_dataset("volumes/raw", data=np.zeros((2, 2, 2), "uint8"))
        raw.attrs["resolution"] = (40.0, 4.0, 4.0)
        raw.attrs["offset"] = (1.0, 2.0, 3.0)  # of the volume: not that of the annotations
        group = file.create_group("annotations")
        if "offset" in parts:
            group.attrs["offset"] = parts["offset"]
        if "ids" in parts:
            group["ids"] = as_ids(parts["ids"])
        if "types" in parts:
            group.create_dataset("types", data=parts["types"], dtype=h5py.string_dtype())
        if "locations" in parts:
            group["locations"] = np.asarray(parts["locations"], "float64")
        if "partners" in parts:
            group["presynaptic_site/partners"] = as_ids(parts["partners"])
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sample_A.hdf"


def test_ids_types_and_positions_in_the_world(path):
    sites = read_synaptic_sites(write(path))
    assert isinstance(sites, SynapticSites)
    assert sites.ids.tolist() == GOOD["ids"]
    assert sites.types == tuple(GOOD["types"])
    assert len(sites) == 4
    np.testing.assert_array_equal(
        sites.positions,
        [[1560, 3648, 3652], [1520, 3644.5, 3645], [1480, 3656, 3648], [1600, 3644, 3644]],
    )


def test_one_presynaptic_site_with_several_partners_and_the_other_way_round(path):
    sites = read_synaptic_sites(write(path))
    assert sites.partners.tolist() == [[1, 0], [1, 2], [3, 0]]
    assert sites.ids[sites.partners].tolist() == GOOD["partners"]
    assert sites.of_type(PRE).tolist() == [1, 3]
    assert sites.of_type("else").tolist() == []


def test_without_an_offset_locations_are_positions(path):
    sites = read_synaptic_sites(write(path, offset=None))
    np.testing.assert_array_equal(sites.positions, GOOD["locations"])


def test_without_partners(path):
    sites = read_synaptic_sites(str(write(path, partners=None)))
    assert sites.partners.shape == (0, 2)
    assert len(sites) == 4


def test_text_of_fixed_length_is_text_too(path):
    write(path, types=None)
    with h5py.File(path, "a") as file:
        file["annotations/types"] = np.array([kind.encode() for kind in GOOD["types"]])
    assert read_synaptic_sites(path).types == tuple(GOOD["types"])


def test_nothing_of_it_changes(path):
    sites = read_synaptic_sites(write(path))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        sites.ids = None
    for values in (sites.ids, sites.positions, sites.partners):
        with pytest.raises(ValueError, match="read-only"):
            values[:] = 0


@given(st.data())
def test_whatever_order_ids_have_pairs_are_found(tmp_path_factory, data):
    ids = data.draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20, unique=True))
    place = st.integers(0, len(ids) - 1)
    pairs = data.draw(st.lists(st.tuples(place, place), max_size=30, unique=True))
    path = write(
        tmp_path_factory.mktemp("cremi") / "a.hdf",
        ids=ids,
        types=[PRE] * len(ids),
        locations=np.zeros((len(ids), 3)),
        partners=np.array([[ids[a], ids[b]] for a, b in pairs], object).reshape(-1, 2),
    )
    assert read_synaptic_sites(path).partners.tolist() == [list(pair) for pair in pairs]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": None}, "not complete .*no dataset annotations/ids"),
        ({"types": None}, "not complete .*no dataset annotations/types"),
        ({"locations": None}, "not complete .*no dataset annotations/locations"),
        ({"ids": [90, 7, LARGE]}, r"locations do not fit .*got \(4, 3\); expected 3 x 3"),
        ({"types": [PRE] * 5}, r"types do not fit .*got \(5,\); expected 4"),
        ({"locations": [[0.0, 1.0]] * 4}, r"locations do not fit .*expected 4 x 3"),
        ({"locations": [[0.0, 1.0, np.nan]] * 4}, "locations are no places"),
        ({"offset": (1.0, 2.0)}, "offset do not fit"),
        ({"ids": [90, 7, 7, 3]}, "an id is there more than once .*the first 7"),
        ({"ids": [90, 7, -1, 3], "partners": None}, "are no ids"),
        ({"ids": [90.0, 7.0, 1.0, 3.0]}, "are no ids .*float64"),
        ({"partners": [[7, 91], [7, 90]]}, "have no annotation .*1 of them, the first 91"),
        ({"partners": [[7, 90], [7, 90]]}, r"paired more than once .*the first \[7, 90\]"),
        ({"partners": [[90, 7]]}, r"wrong way round .*the first \[90, 7\]"),
        ({"partners": [[7, 90, 3]]}, "partners do not fit"),
    ],
)
def test_what_is_wrong_is_told(path, changes, message):
    with pytest.raises(SourceError, match=message) as error:
        read_synaptic_sites(write(path, **changes))
    assert str(path) in str(error.value)


def test_a_file_without_annotations(path):
    with h5py.File(path, "w") as file:
        file["volumes/raw"] = np.zeros((2, 2, 2), "uint8")
    with pytest.raises(SourceError, match="has no annotations"):
        read_synaptic_sites(path)


def test_no_file(path):
    with pytest.raises(SourceError, match="cannot open the file"):
        read_synaptic_sites(path)


def test_annotations_that_lead_to_another_file_are_not_followed(path, tmp_path):
    write(tmp_path / "other.hdf")
    with h5py.File(path, "w") as file:
        file["annotations"] = h5py.ExternalLink("other.hdf", "annotations")
    with pytest.raises(SourceError, match="another file"):
        read_synaptic_sites(path)
