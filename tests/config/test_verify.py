"""Every problem of a document, in one run, where it stands."""

from __future__ import annotations

import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

import dacapo_like
from dacapo_like.config.verify import has_errors

EIGHT_MISTAKES = """\
arrays:
  raw: {type: zarr, file_name: em.zarr}
  one:
    type: binarise
    source: raw
  two:
    type: binarize
    source: raw
    grouping: {mito: [1]}
    groupings: {mito: [1]}
  three:
    type: intensities
    source: raw
    min: "0"
    max: 255
  four:
    type: crop
    source: raw
  five:
    type: ones
    source: raw
    dtype: uint8
    dtype: uint16
  six:
    type: crop
    source: raw
    roi: {offset: [0, 0], shape: [4, 4]}
  seven: {type: zarr, file_name: nowhere.zarr}
  eight:
    type: binarize
    groupings: {any: []}
    source:
      type: binarize
      source: raw
      groupings: {mito: [3]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    array = zarr.create_array(
        tmp_path / "em.zarr", shape=(8, 8, 8), chunks=(4, 4, 4), dtype="uint8"
    )
    array[...] = np.arange(512, dtype="uint8").reshape(8, 8, 8)
    array.attrs.update({"voxel_size": [4, 4, 4], "offset": [0, 0, 0]})
    return tmp_path


def document(folder: Path, text: str, name: str = "doc.yaml") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def test_eight_mistakes_are_eight_problems_each_at_its_place(folder):
    path = document(folder, EIGHT_MISTAKES)
    found = {(p.line, p.column, p.key, p.code, p.hint) for p in dacapo_like.verify(path)}
    assert {(line, column, key, code) for line, column, key, code, _ in found} == {
        (4, 11, "arrays.one.type", "DL101"),
        (9, 5, "arrays.two.grouping", "DL105"),
        (14, 10, "arrays.three.min", "DL103"),
        (17, 5, "arrays.four.roi", "DL102"),
        (23, 5, "arrays.five.dtype", "DL003"),
        (27, 10, "arrays.six.roi", "DL211"),
        (28, 34, "arrays.seven.file_name", "DL201"),
        (33, 7, "arrays.eight.source", "DL212"),
    }
    hints = {key: hint for _, _, key, _, hint in found}
    assert hints["arrays.one.type"] == "did you mean 'binarize'?"
    assert hints["arrays.two.grouping"] == "did you mean 'groupings'?"
    assert all(p.severity == "error" and p.path == str(path) for p in dacapo_like.verify(path))


def test_a_valid_document_has_no_problems(folder):
    path = document(folder, "type: ones\nsource: {type: zarr, file_name: em.zarr}\n")
    assert dacapo_like.verify(path) == []


def test_what_depends_on_a_broken_array_is_not_reported_again(folder):
    path = document(
        folder,
        """
        arrays:
          broken: {type: zarr, file_name: nowhere.zarr}
          user: {type: ones, source: broken}
          badly: {type: ones, source: wrong}
          wrong: {type: onse}
        """,
    )
    assert [(p.key, p.code) for p in dacapo_like.verify(path)] == [
        ("arrays.broken.file_name", "DL201"),
        ("arrays.wrong.type", "DL101"),
    ]


def test_the_same_mistake_in_two_places_is_two_problems(folder):
    path = document(
        folder,
        """
        arrays:
          a: {type: zarr, file_name: nowhere.zarr}
          b: {type: ones, source: {type: zarr, file_name: nowhere.zarr}}
        """,
    )
    assert [p.key for p in dacapo_like.verify(path)] == [
        "arrays.a.file_name",
        "arrays.b.source.file_name",
    ]


def test_dacapos_long_spelling_is_reported_as_it_is_written(folder):
    path = document(
        folder,
        """
        type: ones
        source_array_config: {type: zarr, file_name: nowhere.zarr}
        """,
    )
    (problem,) = dacapo_like.verify(path)
    assert (problem.key, problem.line, problem.column) == ("source_array_config.file_name", 3, 46)


def test_both_spellings_at_once_are_refused(folder):
    raw = "{type: zarr, file_name: em.zarr}"
    path = document(folder, f"type: ones\nsource: {raw}\nsource_array_config: {raw}\n")
    (problem,) = dacapo_like.verify(path)
    assert problem.code == "DL105"
    assert "two spellings" in problem.message


def test_a_crop_that_leaves_its_source_is_a_warning(folder):
    path = document(
        folder,
        """
        type: crop
        source: {type: zarr, file_name: em.zarr}
        roi: {offset: [16, 0, 0], shape: [32, 32, 32]}
        """,
    )
    (problem,) = dacapo_like.verify(path)
    assert (problem.severity, problem.code, problem.key, problem.line) == (
        "warning",
        "DL401",
        "roi",
        4,
    )
    assert not has_errors([problem])
    assert has_errors([problem], strict=True)


def test_references_that_dangle_or_go_in_circles(folder):
    path = document(
        folder,
        """
        arrays:
          a: {type: ones, source: b}
          b: {type: ones, source: a}
          c: {type: ones, source: aa}
        """,
    )
    problems = dacapo_like.verify(path)
    assert [(p.key, p.code) for p in problems] == [
        ("arrays.b.source", "DL108"),
        ("arrays.c.source", "DL107"),
    ]
    assert "a -> b -> a" in problems[0].message
    assert problems[1].hint == "did you mean 'a'?"


def test_what_stands_for_an_array_is_told_once_and_not_compared(folder):
    path = document(
        folder,
        """
        arrays:
          raw: {type: zarr, file_name: em.zarr}
          later: {type: dummy}
          both: {type: sum, sources: [raw, later]}
          ones: {type: ones, source: later}
        datasets:
          - {name: one, raw: raw, gt: ones}
        """,
    )
    assert [(p.key, p.code) for p in dacapo_like.verify(path)] == [("arrays.later", "DL215")]


def test_deep_reads_every_chunk_and_names_the_bad_one(folder):
    with h5py.File(folder / "a.h5", "w") as file:
        data = file.create_dataset(
            "a", data=np.arange(64, dtype="u1").reshape(8, 8), chunks=(4, 4), fletcher32=True
        )
        start = data.id.get_chunk_info(2).byte_offset
    with (folder / "a.h5").open("r+b") as raw:
        raw.seek(start)
        raw.write(b"\xff")
    path = document(folder, "type: hdf5\nfile_name: a.h5\nvoxel_size: [2, 2]\n")
    assert dacapo_like.verify(path) == []
    (problem,) = dacapo_like.verify(path, deep=True)
    assert problem.code == "DL301"
    assert f"{folder}/a.h5" in problem.message


def test_a_config_and_a_mapping_can_be_verified_too(folder):
    config = dacapo_like.OnesArrayConfig(
        source_array_config=dacapo_like.ZarrArrayConfig(file_name=str(folder / "nowhere.zarr"))
    )
    (problem,) = dacapo_like.verify(config)
    assert (problem.key, problem.line, problem.path) == ("source.file_name", None, None)
    assert [p.code for p in dacapo_like.verify({"type": "ones", "source": 3})] == ["DL103"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("!!python/object/apply:os.system ['touch hacked']", "DL005"),
        (
            "a: &a [x, x]\n"
            + "".join(
                f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n"
                for p, c in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            "DL002",
        ),
        ("[" * 100_000, "DL002"),
        ("{a: " * 100_000, "DL002"),
        ("- " * 100_000, "DL002"),
        ("a: " + "x" * 50_000_000, "DL002"),
    ],
    ids=[
        "python-object",
        "alias-bomb",
        "deep-lists",
        "deep-mappings",
        "deep-blocks",
        "huge-scalar",
    ],
)
def test_hostile_yaml_is_one_clear_problem_and_runs_nothing(tmp_path, monkeypatch, text, code):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hostile.yaml"
    path.write_text(text)
    (problem,) = dacapo_like.verify(path)
    assert problem.code == code
    assert [item.name for item in tmp_path.iterdir()] == ["hostile.yaml"]
