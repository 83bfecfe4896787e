"""DaCapo's own documents load unchanged, and nothing in them is ever run."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dacapo_like
from dacapo_like import ArrayConfig, array_types
from dacapo_like.config.converter import structure
from dacapo_like.config.document import parse_document
from dacapo_like.config.loading import load_document
from dacapo_like.errors import InvalidDocumentError
from dacapo_like.fields import spellings
from dacapo_like.registry import document_types

ARRAYS = frozenset(
    f"{name}Config"
    for name in (
        *("ZarrArray", "TiffArray", "DVIDArray", "DummyArray", "CropArray", "ResampledArray"),
        *("BinarizeArray", "IntensitiesArray", "MissingAnnotationsMask", "OnesArray"),
        *("ConstantArray", "ConcatArray", "SumArray", "MergeInstancesArray", "LogicalOrArray"),
    )
)
"""What DaCapo may write after ``__type__`` of an array."""

LABELS = (
    "{name: labels, type: zarr, file_name: volume.zarr, dataset: labels,"
    " axes: [z, y, x], mode: a, snap_to_grid: [40, 8, 8]}"
)
RAW = "{name: raw, type: zarr, file_name: volume.zarr, dataset: raw, mode: a}"
GROUPS = "{mito: [3, 4], any: []}"
BINARIZED = f"{{name: binarized, type: binarize, source: {LABELS}, groupings: {GROUPS}}}"
SHORT = {
    "labels": LABELS,
    "binarized": BINARIZED,
    "annotated": f"{{name: annotated, type: missing_annotations_mask, source: {LABELS}, groupings: {GROUPS}}}",
    "four": f"{{name: four, type: constant, source: {RAW}, value: 4}}",
    "ones": f"{{name: ones, type: ones, source: {LABELS}}}",
    "both": (
        "{name: both, type: concat, channels: [raw, none], sources:"
        f" {{raw: {{name: i, type: intensities, source: {RAW}, min: 0, max: 255}}}}}}"
    ),
    "normalized": f"{{name: normalized, type: intensities, source: {RAW}, min: -0.5, max: 255}}",
    "cropped": (
        f"{{name: cropped, type: crop, source: {LABELS},"
        " roi: {offset: [0, 0, 0], shape: [40, 80, 80]}}"
    ),
    "finer": (
        f"{{name: finer, type: resampled, source: {RAW}, upsample: [1, 2, 2],"
        " downsample: [1, 1, 1], interp_order: 1}"
    ),
    "union": f"{{name: union, type: logical_or, source: {BINARIZED}}}",
    "total": f"{{name: total, type: sum, sources: [{RAW}, {RAW}]}}",
    "merged": f"{{name: merged, type: merge_instances, sources: [{LABELS}, {LABELS}]}}",
    "served": '{name: served, type: dvid, source: ["https://dvid.example.org", a89e, gray]}',
    "dummy": "{name: dummy, type: dummy}",
}
"""What the documents of dacapo-0.3.5.yaml are in the short spelling."""


def written_by_dacapo():
    """Give name and text of every document, which names itself."""
    text = (Path(__file__).parent / "dacapo-0.3.5.yaml").read_text()
    return [
        pytest.param(line.removeprefix("name: "), document, id=line)
        for document in text.split("---\n")[1:]
        for line in document.splitlines()
        if line.startswith("name: ")
    ]


def load_text(text, **options):
    loaded = load_document(parse_document(text, directory=Path("/data"), **options))
    assert loaded.problems == []
    return loaded.config


def problems_of(text):
    loaded = load_document(parse_document(text, path="a.yaml"))
    return [(p.line, p.column, p.key, p.code) for p in loaded.problems]


def names(config):
    return config.name, [names(child) for _, child in config.children()]


@pytest.mark.parametrize(("name", "text"), written_by_dacapo())
def test_documents_of_dacapo_are_the_same_trees_as_short_ones(name, text):
    theirs, ours = load_text(text), load_text(SHORT[name])
    assert theirs == ours
    assert names(theirs) == names(ours)


def test_there_is_a_document_of_dacapo_for_every_type_that_it_writes():
    written = {type(load_text(document.values[1])).__name__ for document in written_by_dacapo()}
    assert written == ARRAYS - {"TiffArrayConfig"}  # its own loader does not know that one


def test_the_plain_data_of_dacapo_loads_without_a_file():
    config = dacapo_like.load(
        {
            "__type__": "CropArrayConfig",
            "name": "cropped",
            "source_array_config": {
                "__type__": "BinarizeArrayConfig",
                "name": "b",
                "source_array_config": {"type": "zarr", "file_name": "/a.zarr"},
                "groupings": [("mito", [3])],
                "background": 0,
            },
            "roi": ((0, 0, 0), (4, 4, 4)),
        }
    )
    assert dict(config.source_array_config.groupings) == {"mito": (3,)}
    assert tuple(config.roi.shape) == (4, 4, 4)


def test_spellings_mix_within_a_document():
    config = load_text(
        "arrays:\n"
        "  raw: {__type__: ZarrArrayConfig, name: em, file_name: a.zarr, dataset: raw, _axes: [z, y, x]}\n"
        "  four: {type: constant, source_array_config: raw, value: 4}\n"
        "  five: {__type__: ConstantArrayConfig, source: raw, constant: 5}\n"
        "  one: {__type__: ConstantArrayConfig, name: one, source_array_config: raw}\n"
    )
    assert {name: array.tag for name, array in config.arrays.items()} == {
        "raw": "zarr",
        "four": "constant",
        "five": "constant",
        "one": "constant",
    }
    assert [config.arrays[name].value for name in ("four", "five", "one")] == [4, 5, 1]
    assert config.arrays["raw"].axes == ("z", "y", "x")


@pytest.mark.parametrize(
    "crafted",
    [
        "__import__('os').system('touch {canary}')",
        "open('{canary}', 'w')",
        "os.system",
        "__class__",
        "ArrayConfig",
        "UnaryConfig",
        "NumpyArrayConfig",
        "dacapo_like.ZarrArrayConfig",
        "ZarrArrayConfig.__init__",
        "zarrarrayconfig",
        "",
        "x" * 100_000,
        3,
        True,
        None,
        ["ZarrArrayConfig"],
        {"__type__": "ZarrArrayConfig"},
    ],
    ids=lambda crafted: repr(crafted)[:30],
)
def test_a_crafted_type_runs_nothing(crafted, tmp_path):
    canary = tmp_path / "canary"
    if isinstance(crafted, str):
        crafted = crafted.replace("{canary}", str(canary))
    data = {
        "__type__": "OnesArrayConfig",
        "name": "a",
        "source_array_config": {"__type__": crafted},
    }
    with pytest.raises(InvalidDocumentError) as caught:
        dacapo_like.load(data)
    (problem,) = caught.value.problems
    assert (problem.code, problem.key) == ("DL101", "source_array_config.__type__")
    assert len(problem.message) < 1000
    assert not canary.exists()


@given(st.text(max_size=40))
def test_no_other_text_is_a_type(text):
    known = {config.__name__ for config in document_types().values()}
    _, state = structure({"__type__": text}, Path("/data"))
    codes = [finding.error.code for finding in state.findings]
    assert ("DL101" in codes) == (text not in known)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("__type__: BinariseArrayConfig", "did you mean 'BinarizeArrayConfig'?"),
        ("__type__: binarize", "did you mean 'BinarizeArrayConfig'?"),
        ("type: BinarizeArrayConfig", "did you mean 'binarize'?"),
        ("__type__: DummyDatasetConfig", "this describes datasets"),
        ("__type__: DummyDataSplitConfig", "this describes datasets"),
    ],
)
def test_what_was_meant(given, hint):
    (problem,) = load_document(parse_document(given)).problems
    assert (problem.code, problem.line, problem.column) == ("DL101", 1, given.index(":") + 3)
    assert problem.hint.startswith(hint)


@pytest.mark.parametrize("name", sorted(ARRAYS))
def test_every_type_of_dacapo_is_known(name):
    problems = load_document(parse_document(f"__type__: {name}")).problems
    assert "DL101" not in [problem.code for problem in problems]


SPELLED_WRONG = [
    ("{t}: ones\nsource: {{}}\n__type__: OnesArrayConfig", [(3, 11, "__type__", "DL105")]),
    ("{d}: OnesArrayConfig\nname: a", [(1, 1, "source_array_config", "DL102")]),
    ("{t}: ones\nname: a", [(1, 1, "source", "DL102")]),
    (
        "{d}: OnesArrayConfig\nsource_array_config: {{{d}: ZarrArrayConfig, file_name: a, _axes: zyx}}",
        [(2, 71, "source_array_config._axes", "DL103")],
    ),
    (
        "{d}: OnesArrayConfig\nsource_array_config:\n  {d}: ZarrArrayConfig\n  file_name: a\n  _axis: [z]",
        [(5, 3, "source_array_config._axis", "DL105")],
    ),
    (
        "{d}: ConstantArrayConfig\nsource_array_config: {{type: zarr, file_name: a}}\nconstant: '4'",
        [(3, 11, "constant", "DL103")],
    ),
    (
        "{d}: ConstantArrayConfig\nsource: {{type: zarr, file_name: a}}\nvalue: 1\nconstant: 4",
        [(4, 11, "constant", "DL105")],
    ),
    (
        (
            "{d}: BinarizeArrayConfig\nsource_array_config: {{type: zarr, file_name: a}}\n"
            "groupings:\n- !!python/tuple\n  - mito\n  - [3, 4.5]"
        ),
        [(6, 9, "groupings[0][1][1]", "DL103")],
    ),
    (
        "{d}: ConcatArrayConfig\nchannels: [a]\nsource_array_configs:\n- [a, {{type: zarr, file: b}}]",
        [
            (4, 7, "source_array_configs[0][1].file_name", "DL102"),
            (4, 20, "source_array_configs[0][1].file", "DL105"),
        ],
    ),
    (
        (
            "{d}: ResampledArrayConfig\nsource_array_config: {{type: zarr, file_name: a}}\n"
            "upsample: [2, 2, 2]\ndownsample: [1, 1, 1]\ninterp_order: 2"
        ),
        [(5, 15, "interp_order", "DL104")],
    ),
]


@pytest.mark.parametrize(("text", "found"), SPELLED_WRONG)
def test_problems_stand_where_the_document_has_them_and_as_it_spells_them(text, found):
    assert sorted(problems_of(text.format(t="type", d="__type__"))) == found


def test_only_dacapo_means_1_by_0_and_orders_by_bools():
    resampled = "source: {type: zarr, file_name: a}\nupsample: "
    assert problems_of(f"type: resampled\n{resampled}[1, 2, 2]\ninterp_order: true")
    assert problems_of(f"type: resampled\n{resampled}[0, 2, 2]\ninterp_order: 1")
    config = load_text(f"__type__: ResampledArrayConfig\n{resampled}[0, 2, 2]\ninterp_order: true")
    assert (config.upsample, config.interp_order) == ((1, 2, 2), 1)


@pytest.mark.parametrize("config_class", array_types().values(), ids=lambda c: c.__name__)
def test_no_key_is_a_spelling_of_two_fields(config_class: type[ArrayConfig]):
    keys = [key for field in attrs.fields(config_class) for key in spellings(field)]
    assert len(keys) == len(set(keys))
    assert not {"type", "__type__"} & set(keys)
