"""Overrides of documents: what they change, and what they may not."""

from __future__ import annotations

import jsonschema
import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import dacapo_like
from dacapo_like.cli import main
from dacapo_like.config.document import parse_document
from dacapo_like.config.loading import load_document
from dacapo_like.config.overrides import key_path, override
from dacapo_like.config.schema import schema_of
from dacapo_like.errors import ConfigError, InvalidDocumentError

TEXT = """\
parameters: {low: 0, sig: {env: SIG, secret: true}}
arrays:
  raw: {type: zarr, file_name: a.zarr}
  scaled: {type: intensities, source: raw, min: "${low}", max: 15}
datasets:
  - {name: one, raw: scaled}
"""


@pytest.fixture
def path(tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=np.arange(16, dtype="u1").reshape(4, 4))
    path = tmp_path / "doc.yaml"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize(
    ("given", "place", "value"),
    [
        ("arrays.raw.level=1", ("arrays", "raw", "level"), 1),
        ("arrays.raw.file_name=b=c.zarr", ("arrays", "raw", "file_name"), "b=c.zarr"),
        ("arrays.scaled.clip=true", ("arrays", "scaled", "clip"), True),
        ("arrays.raw.voxel_size=[4, 9.8]", ("arrays", "raw", "voxel_size"), [4, 9.8]),
        ("datasets[0].split=validate", ("datasets", 0, "split"), "validate"),
        ("datasets[0].gt=", ("datasets", 0, "gt"), None),
        ('"arrays".raw.units="nm"', ("arrays", "raw", "units"), "nm"),
    ],
)
def test_values_are_put_where_they_are_meant(given, place, value):
    document = parse_document(TEXT)
    changed = override(document, [given])
    assert changed.problems == ()
    found = changed.data
    for part in place:
        found = found[part]
    assert found == value
    assert type(found) is type(value)
    assert document.data == parse_document(TEXT).data


def test_overrides_reach_what_is_opened(path):
    array = dacapo_like.open_array(
        path, "scaled", overrides=["parameters.low=5", "arrays.scaled.max=10"]
    )
    expected = (
        np.clip((np.arange(16) - 5) / 5, 0, 1) if array.config.clip else (np.arange(16) - 5) / 5
    )
    np.testing.assert_allclose(array.read().ravel(), expected, rtol=1e-6)
    assert (
        dacapo_like.load(path, overrides={"datasets[0].weight": 2}).config.datasets[0].weight == 2
    )
    with pytest.raises(ConfigError, match="overrides are for documents"):
        dacapo_like.open_array(array.config, overrides=["a=1"])


@pytest.mark.parametrize(
    ("given", "key", "code"),
    [
        ("arrays.rwa.level=1", "arrays.rwa", "DL124"),
        ("arrays.raw.file_name.x=1", "", "DL124"),
        ("datasets[1].weight=2", "", "DL124"),
        ("parameters.lo=2", "parameters.lo", "DL124"),
        ("arrays.raw.level", "", "DL124"),
        ("=3", "", "DL124"),
        ("a..b=3", "", "DL124"),
        ("[0]=3", "", "DL124"),
        ("parameters.sig=hunter2", "parameters.sig", "DL123"),
        ("parameters.sig.secret=false", "", "DL123"),
        ("arrays.raw.level=one", "arrays.raw.level", "DL103"),
        ("arrays.raw.levle=1", "arrays.raw.levle", "DL105"),
        ("arrays.scaled.min=${lov}", "arrays.scaled.min", "DL120"),
        ("arrays.raw.level=[1", "arrays.raw.level", "DL001"),
    ],
)
def test_problems_are_of_the_override(given, key, code):
    found = load_document(parse_document(TEXT, path="a.yaml"), [given]).problems
    assert [problem.code for problem in found] == [code]
    (problem,) = found
    assert (problem.path, problem.line, problem.column) == ("override", None, None)
    assert problem.key.startswith(key)
    assert "hunter2" not in str(problem)


def test_what_lies_beside_an_override_keeps_its_place():
    text = TEXT.replace("max: 15", "max: x")
    (problem,) = load_document(
        parse_document(text, path="a.yaml"), ["arrays.scaled.min=1"]
    ).problems
    assert (problem.path, problem.line) == ("a.yaml", 4)


def test_load_lists_problems_of_overrides(path):
    with pytest.raises(InvalidDocumentError, match=r"override: error DL124.*did you mean 'raw'"):
        dacapo_like.load(path, overrides=["arrays.rwa.level=1"])


def test_key_paths_read_back():
    assert key_path('arrays."a.b"[2].c') == ("arrays", "a.b", 2, "c")
    with pytest.raises(ConfigError, match="not a key path"):
        key_path("a.[")


def test_verify_and_the_commands_take_overrides(path):
    assert dacapo_like.verify(path) == []
    (problem,) = dacapo_like.verify(path, overrides=["arrays.raw.level=one"])
    assert (problem.path, problem.key, problem.code) == ("override", "arrays.raw.level", "DL103")

    def run(*arguments):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        return result.exit_code, result.output

    assert run("verify", path, "--set", "arrays.scaled.max=20")[0] == 0
    code, said = run("verify", path, "--set", "arrays.raw.level=one", "--set", "arrays.raw.lvl=1")
    assert (code, said.count("override: error")) == (1, 2)
    assert "offset 0" not in run("show", path, "raw")[1]
    assert "(8, 8)" in run("show", path, "raw", "--set", "arrays.raw.voxel_size=[8, 8]")[1]
    assert "constant" in run("list", path, "--set", "arrays.more={type: constant, source: raw}")[1]
    out = path.parent / "out.npy"
    code, said = run("materialize", path, "scaled", out, "--set", "arrays.scaled.max=30")
    assert code == 0, said
    np.testing.assert_allclose(np.load(out).max(), 0.5)
    code, said = run("patches", path, "--set", "patches={train: {shape: [2, 2]}}")
    assert code == 0
    assert "train" in said


def test_a_document_of_one_array_has_parameters_too():
    text = "type: zarr\nfile_name: ${folder}/a.zarr\nparameters: {folder: /b}"
    assert load_document(parse_document(text)).config.file_name == "/b/a.zarr"
    schema = schema_of("array")
    check = jsonschema.validators.validator_for(schema)(schema)
    check.validate(parse_document(text).data)
