"""Plain data to configs and back: strict, exact, with every problem at its key path."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dacapo_like
from dacapo_like import (
    BinarizeArrayConfig,
    ConcatArrayConfig,
    ConstantArrayConfig,
    CropArrayConfig,
    HDF5ArrayConfig,
    IntensitiesArrayConfig,
    OnesArrayConfig,
    ResampledArrayConfig,
    Roi,
    ZarrArrayConfig,
)
from dacapo_like.config.converter import structure
from dacapo_like.config.document import parse_document
from dacapo_like.config.unstructuring import unstructure
from dacapo_like.errors import ConfigError, InvalidDocumentError
from dacapo_like.fields import Named

RAW = {"type": "zarr", "file_name": "/data/a.zarr"}


def problems(data):
    _, state = structure(data, Path("/data"))
    return [(finding.key, finding.error.code) for finding in state.findings]


def config_of(data, directory=Path("/data")):
    config, state = structure(data, directory)
    assert state.findings == []
    return config


@pytest.mark.parametrize(
    ("changes", "key", "code"),
    [
        ({"min": "0"}, ("min",), "DL103"),
        ({"min": True}, ("min",), "DL103"),
        ({"min": None}, ("min",), "DL103"),
        ({"min": [0]}, ("min",), "DL103"),
        ({"min": float("nan")}, ("min",), "DL103"),
        ({"min": float("inf")}, ("min",), "DL103"),
        ({"min": 10**400}, ("min",), "DL103"),
        ({"max": 0}, ("max",), "DL110"),
        ({"clip": "false"}, ("clip",), "DL103"),
        ({"clip": 0}, ("clip",), "DL103"),
        ({"name": 3}, ("name",), "DL103"),
        ({"source": 3}, ("source",), "DL103"),
        ({"source": []}, ("source",), "DL103"),
        ({"source": {}}, ("source",), "DL106"),
        ({"source": "nobody"}, ("source",), "DL107"),
        ({"source": {"type": ["zarr"]}}, ("source", "type"), "DL101"),
        ({"source": {"type": "numpy"}}, ("source", "type"), "DL101"),
        ({"source": {**RAW, "level": 3.7}}, ("source", "level"), "DL103"),
        ({"source": {**RAW, "voxel_size": 4}}, ("source", "voxel_size"), "DL103"),
        ({"source": {**RAW, "voxel_size": [4, "4"]}}, ("source", "voxel_size"), "DL110"),
        ({"source": {**RAW, "channels": [0, 1.5]}}, ("source", "channels", 1), "DL103"),
        ({"source": {**RAW, "axes": "zyx"}}, ("source", "axes"), "DL103"),
        ({"source": {**RAW, "anchor": "centre"}}, ("source", "anchor"), "DL104"),
        ({"extra": 1}, ("extra",), "DL105"),
    ],
)
def test_wrong_values_are_refused_at_their_place(changes, key, code):
    data = {"type": "intensities", "source": RAW, "min": 0, "max": 255} | changes
    assert problems(data) == [(key, code)]


def test_all_problems_of_a_tree_are_found_at_once():
    data = {
        "type": "concat",
        "channels": ["a", 3],
        "sources": {"a": {"type": "crop", "source": {"type": "onse"}}, "b": {"type": "ones"}},
        "defaults": None,
    }
    assert sorted(problems(data), key=str) == sorted(
        [
            (("channels", 1), "DL103"),
            (("sources", "a", "roi"), "DL102"),
            (("sources", "a", "source", "type"), "DL101"),
            (("sources", "b", "source"), "DL102"),
            (("defaults",), "DL105"),
        ],
        key=str,
    )


@pytest.mark.parametrize(
    ("roi", "code"),
    [
        ({"offset": [0, 0], "shape": [1]}, "DL220"),
        ({"offset": [0], "shape": [-1]}, "DL110"),
        ({"offset": [0]}, "DL103"),
        ([[0], [1], [2]], "DL103"),
        ("0:1", "DL103"),
    ],
)
def test_wrong_regions(roi, code):
    assert problems({"type": "crop", "source": RAW, "roi": roi}) == [(("roi",), code)]


def test_regions_in_both_spellings_are_exact():
    long = config_of(
        {
            "type": "crop",
            "source": RAW,
            "roi": {"offset": [9.8, 0], "shape": [Decimal("0.7"), "10/3"]},
        }
    )
    short = config_of({"type": "crop", "source": RAW, "roi": [[9.8, 0], [0.7, "10/3"]]})
    assert long == short
    assert long.roi == Roi((Fraction(49, 5), 0), (Fraction(7, 10), Fraction(10, 3)))


def test_groupings_keep_their_order_in_both_spellings():
    pairs = config_of(
        {"type": "binarize", "source": RAW, "groupings": [["b", [2**64 - 1]], ["a", []]]}
    )
    mapping = config_of(
        {"type": "binarize", "source": RAW, "groupings": {"b": [2**64 - 1], "a": []}}
    )
    assert pairs == mapping
    assert list(pairs.groupings.items()) == [("b", (2**64 - 1,)), ("a", ())]
    assert pairs != config_of(
        {"type": "binarize", "source": RAW, "groupings": {"a": [], "b": [2**64 - 1]}}
    )


@pytest.mark.parametrize(
    "groupings", [{}, [["a", [1]], ["a", [2]]], [["a"]], {"a": [1.0]}, {"a": 1}, {"a": ["1"]}]
)
def test_wrong_groupings(groupings):
    ((key, _),) = problems({"type": "binarize", "source": RAW, "groupings": groupings})
    assert key[0] == "groupings"


def test_relative_file_names_start_at_the_document_and_urls_do_not():
    assert config_of({"type": "zarr", "file_name": "b/a.zarr"}).file_name == "/data/b/a.zarr"
    assert config_of(RAW).file_name == "/data/a.zarr"
    assert config_of({"type": "zarr", "file_name": "s3://b/a.zarr"}).file_name == "s3://b/a.zarr"
    config = config_of({"type": "zarr", "file_name": "b/a.zarr"})
    assert unstructure(config, relative_to=Path("/data"))["file_name"] == "b/a.zarr"
    assert unstructure(config, relative_to=Path("/other"))["file_name"] == "/data/b/a.zarr"


def test_references_share_one_config_and_keep_their_names():
    experiment = config_of(
        {
            "arrays": {
                "a": {"type": "ones", "source": "b"},
                "b": RAW,
                "c": {"type": "concat", "channels": ["x", "y"], "sources": {"x": "b", "y": "a"}},
            }
        }
    )
    arrays = experiment.arrays
    assert arrays["a"].source_array_config is arrays["b"]
    assert arrays["c"].source_array_configs["y"] is arrays["a"]
    assert [config.name for config in arrays.values()] == ["a", "b", "c"]
    assert unstructure(experiment)["arrays"]["c"]["sources"] == {"x": "b", "y": "a"}
    assert unstructure(experiment)["arrays"]["b"] == RAW


def test_chains_of_references_are_followed_but_not_without_end():
    def chain(n):
        return {
            "arrays": {"a0": RAW}
            | {f"a{i}": {"type": "ones", "source": f"a{i - 1}"} for i in reversed(range(1, n))}
        }

    assert config_of(chain(60)).arrays["a59"].name == "a59"
    codes = {code for _, code in problems(chain(5000))}
    assert codes == {"DL109"}


def test_load_raises_with_all_problems():
    with pytest.raises(InvalidDocumentError) as caught:
        dacapo_like.load({"type": "ones", "sorce": RAW})
    assert [problem.code for problem in caught.value.problems] == ["DL102", "DL105"]
    assert "did you mean 'source'?" in str(caught.value)


def test_arrays_in_memory_cannot_be_written():
    array = dacapo_like.from_numpy(np.zeros((2, 2)))
    with pytest.raises(ConfigError, match="in memory"):
        dacapo_like.dump(array.config)


# Round trips

names = st.none() | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8
)
numbers = st.fractions(max_denominator=1000).map(lambda f: f) | st.integers(-(2**70), 2**70)
sizes = st.fractions(min_value=Fraction(1, 1000), max_denominator=1000)
labels = st.integers(-(2**63), 2**64 - 1)
keys = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6
)
leaves = st.builds(
    ZarrArrayConfig,
    name=names,
    file_name=st.just("/data/a.zarr"),
    dataset=st.none() | st.just("volumes/raw"),
    level=st.none() | st.integers(0, 9),
    channels=st.none() | st.lists(st.integers(0, 3) | keys, min_size=1, max_size=3).map(tuple),
    voxel_size=st.none() | st.lists(sizes, min_size=2, max_size=3),
    offset=st.none() | st.lists(numbers, min_size=2, max_size=3),
    units=st.none() | st.just("nm") | st.just(("nm", None, "um")),
    anchor=st.sampled_from(["auto", "center", "corner"]),
    kind=st.none() | st.sampled_from(["image", "labels", "mask"]),
) | st.builds(HDF5ArrayConfig, name=names, file_name=st.just("/data/b.h5"), dataset=keys)
finite = st.floats(-1e12, 1e12, allow_subnormal=False)


def grow(inner):
    rois = st.lists(st.tuples(numbers, sizes), min_size=1, max_size=3).map(
        lambda pairs: Roi([o for o, _ in pairs], [s for _, s in pairs])
    )
    ranges = st.tuples(finite, finite).filter(lambda pair: pair[0] != pair[1])
    factors = st.lists(st.integers(1, 9), min_size=1, max_size=3)
    return st.one_of(
        st.builds(CropArrayConfig, name=names, source_array_config=inner, roi=rois),
        st.builds(
            lambda name, source, pair, clip: IntensitiesArrayConfig(
                name=name, source_array_config=source, min=pair[0], max=pair[1], clip=clip
            ),
            names,
            inner,
            ranges,
            st.booleans(),
        ),
        st.builds(
            BinarizeArrayConfig,
            name=names,
            source_array_config=inner,
            groupings=st.dictionaries(keys, st.lists(labels, max_size=3), min_size=1, max_size=3),
            background=labels,
        ),
        st.builds(
            ResampledArrayConfig,
            name=names,
            source_array_config=inner,
            downsample=factors,
            upsample=st.none() | factors,
        ),
        st.builds(
            ResampledArrayConfig,
            name=names,
            source_array_config=inner,
            voxel_size=st.lists(sizes, min_size=1, max_size=3),
        ),
        st.builds(OnesArrayConfig, name=names, source_array_config=inner),
        st.builds(
            ConstantArrayConfig,
            name=names,
            source_array_config=inner,
            value=st.integers(-9, 9) | finite,
            dtype=st.none() | st.just("float32"),
        ),
        st.builds(
            lambda name, sources, default: ConcatArrayConfig(
                name=name,
                channels=tuple(sources),
                source_array_configs=sources,
                default_config=default,
            ),
            names,
            st.dictionaries(keys, inner, min_size=1, max_size=3),
            st.none() | inner,
        ),
    )


trees = st.recursive(leaves, grow, max_leaves=5)


@given(trees, st.sampled_from(["yaml", "toml", "json"]))
def test_config_to_document_to_config_is_identity(config, form):
    text = dacapo_like.dump(config, form)
    again = config_of(parse_document(text, format=form).data)
    assert again == config
    assert hash(again) == hash(config)
    assert attrs.asdict(again, recurse=False)["name"] == config.name
    assert unstructure(again) == unstructure(config)


def test_named_values_tell_their_order():
    assert Named({"a": 1, "b": 2}) == Named([("a", 1), ("b", 2)])
    assert hash(Named({"a": 1})) == hash(Named([("a", 1)]))
    assert Named({"a": 1, "b": 2}) != Named({"b": 2, "a": 1})
