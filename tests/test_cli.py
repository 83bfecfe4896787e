"""The commands, as people type them."""

from __future__ import annotations

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from PIL import Image

import dacapo_like
from dacapo_like.cli import main


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_verify_says_nothing_is_wrong_and_exits_with_0(run, configs):
    result = run("verify", configs / "quickstart.yaml", configs / "channels.toml")
    assert (result.exit_code, result.output) == (0, "2 documents: no problems\n")


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("type: binarise\n")
    return path


def test_verify_exits_with_1_where_there_are_problems(run, broken):
    result = run("verify", broken)
    assert result.exit_code == 1
    assert result.output.startswith(f"{broken}:1:7: error DL101 [type]: unknown type of array")
    first, *lines = result.stdout.splitlines()
    assert first.endswith("did you mean 'binarize'?)")
    assert lines == ["  1 | type: binarise", "    |       ^", "1 document: 1 error"]


def test_verify_of_a_file_that_is_not_there_is_a_problem(run, tmp_path):
    result = run("verify", tmp_path / "nowhere.yaml")
    assert result.exit_code == 1
    assert "DL001" in result.output


def test_wrong_usage_exits_with_2(run):
    assert run("verify").exit_code == 2
    assert run("verify", "--format", "xml", "a.yaml").exit_code == 2
    assert run("materialize", "a", "b", "c", "d").exit_code == 2


def test_warnings_are_problems_only_where_strict(run, configs, tmp_path):
    path = tmp_path / "warn.yaml"
    path.write_text(
        f"type: crop\nsource: {{type: zarr, file_name: {configs}/data/em.zarr, dataset: raw}}\n"
        "roi: {offset: [0, 0, 0], shape: [2500, 98, 98]}\n"
    )
    assert run("verify", path).exit_code == 0
    assert "1 warning" in run("verify", path).output
    assert run("verify", "--strict", path).exit_code == 1


def test_verify_for_other_tools(run, broken):
    report = run("verify", "--format", "json", broken)
    assert report.stderr == "1 document: 1 error\n"
    found = json.loads(report.stdout)
    assert found["files"] == 1
    (problem,) = found["problems"]
    assert set(problem) == {"path", "line", "column", "key", "code", "severity", "message", "hint"}
    assert (problem["line"], problem["column"], problem["code"]) == (1, 7, "DL101")
    annotation = run("verify", "--format", "github", broken).output
    assert annotation.startswith(
        f"::error file={broken},line=1,col=7,title=DL101::type: unknown type"
    )
    sarif = json.loads(run("verify", "--format", "sarif", broken).stdout)
    (result,) = sarif["runs"][0]["results"]
    assert sarif["version"] == "2.1.0"
    assert result["ruleId"] == "DL101"
    assert result["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 1,
        "startColumn": 7,
    }


def test_convert_rewrites_a_document_of_dacapo(run, tmp_path):
    old, new = tmp_path / "old.yaml", tmp_path / "new.toml"
    old.write_text("__type__: ZarrArrayConfig\nname: em\nfile_name: a.zarr\n_axes: null\n")
    result = run("convert", old, new)
    assert (result.exit_code, result.output) == (0, f"wrote {new}\n")
    assert new.read_text() == 'type = "zarr"\nname = "em"\nfile_name = "a.zarr"\n'
    again = run("convert", old, new)
    assert again.exit_code == 1
    assert "--overwrite" in again.output
    assert run("convert", old, new, "--overwrite").exit_code == 0


def test_convert_lists_every_problem_and_writes_nothing(run, tmp_path):
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text("__type__: ZarrArrayConfig\nname: 3\nfile: a.zarr\n")
    result = run("convert", old, new)
    assert result.exit_code == 1
    assert f"{old}:2:7: error DL103 [name]" in result.output
    assert f"{old}:3:1: error DL105 [file]" in result.output
    assert result.output.endswith("1 document: 3 errors\n")
    assert not new.exists()


def test_show_names_axes_dtype_voxel_size_roi_and_units_of_every_node(run, configs):
    output = run("show", configs / "quickstart.yaml", "composed").output
    for node in (
        "concat 'composed'",
        "intensities",
        "resampled",
        "crop 'brain'",
        "nifti 'raw'",
        "binarize",
        "nifti 'tissue'",
    ):
        assert node in output
    assert output.count("voxel size") == output.count("ROI offset") == 9
    assert "axes c 5 t 2" in output
    assert "voxel size (2.199999, 4, 4) mm" in output


def test_show_draws_a_picture_that_holds_the_data(run, configs, tmp_path):
    target = tmp_path / "pictures" / "quickstart.png"
    result = run(
        "show", configs / "quickstart.yaml", "composed", "--png", target, "--beside", "raw"
    )
    assert result.exit_code == 0, result.output
    picture = np.asarray(Image.open(target).convert("L"))
    height, width = picture.shape
    panels = [
        picture[i * height // 2 :, j * width // 3 :][: height // 2, : width // 3]
        for i in range(2)
        for j in range(3)
    ]
    assert all(
        len(np.unique(panel)) > 50 for panel in panels[:2]
    )  # the scan, raw and composed: all greys
    assert all(
        ((panel < 20) | (panel > 235)).mean() > 0.9 for panel in panels[2:]
    )  # masks: black and white


def test_list_names_the_arrays(run, configs):
    lines = run("list", configs / "channels.toml").output.splitlines()
    assert [line.split() for line in lines] == [
        ["em", "zarr"],
        ["unknown", "constant"],
        ["stack", "concat"],
    ]
    assert run("list", configs / "clipped.json").output.split() == ["clipped", "intensities"]


def test_materialize_writes_what_reads_give(run, configs, tmp_path):
    out = tmp_path / "out.zarr"
    result = run("materialize", configs / "em_training.yaml", "left_half", out)
    assert result.exit_code == 0, result.output
    expected = dacapo_like.open_array(configs / "em_training.yaml", "left_half").read()
    np.testing.assert_array_equal(np.asarray(zarr.open_array(out / "0", mode="r")), expected)
    again = run("materialize", configs / "em_training.yaml", "left_half", out)
    assert again.exit_code == 1
    assert "overwrite" in again.output
    assert (
        run("materialize", configs / "em_training.yaml", "left_half", out, "--overwrite").exit_code
        == 0
    )


def test_materialize_of_a_document_with_one_array_needs_no_name(run, configs, tmp_path):
    result = run(
        "materialize", configs / "clipped.json", tmp_path / "out.zarr", "--chunks", "8,32,32"
    )
    assert result.exit_code == 0, result.output
    assert zarr.open_array(tmp_path / "out.zarr" / "0", mode="r").chunks == (8, 32, 32)


def test_materialize_takes_options_of_the_format(run, configs, tmp_path):
    out = tmp_path / "out.h5"
    options = ["--option", "dataset=volumes/raw", "--option", "compression=null"]
    options += ["--option", "chunks=[8, 32, 32]"]
    result = run("materialize", configs / "clipped.json", out, *options)
    assert result.exit_code == 0, result.output
    with h5py.File(out) as file:
        dataset = file["volumes/raw"]
        assert (dataset.chunks, dataset.compression) == ((8, 32, 32), None)
        expected = dacapo_like.open_array(configs / "clipped.json").read()
        np.testing.assert_array_equal(dataset, expected)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--option", "compresion=lzf"], 1, "did you mean 'compression'?"),
        (["--option", "compression=zip"], 1, "one of gzip, lzf, null"),
        (["--option", "chunks=8"], 1, "chunks do not fit"),
        (["--option", "chunks=[8, 32, x]"], 1, "chunks do not fit"),
        (["--option", "dataset"], 2, "is not KEY=VALUE"),
        (["--option", "=3"], 2, "is not KEY=VALUE"),
        (["--option", "dataset=a", "--option", "dataset=b"], 2, "is given elsewhere"),
        (["--option", "overwrite=true"], 2, "is given elsewhere"),
        (["--chunks", "8,32,32", "--option", "chunks=[8, 32, 32]"], 2, "is given elsewhere"),
        (["--chunks", "8,x"], 2, "is no list of integers"),
        (["--option", "dataset=[1"], 1, "not valid YAML"),
    ],
)
def test_options_that_are_none_are_refused(run, configs, tmp_path, options, code, said):
    result = run("materialize", configs / "clipped.json", tmp_path / "out.h5", *options)
    assert result.exit_code == code
    assert said in result.output
    assert list(tmp_path.iterdir()) == []


def test_our_errors_are_one_message_and_no_traceback(run, configs):
    result = run("show", configs / "quickstart.yaml", "composd")
    assert result.exit_code == 1
    assert result.output == (
        "Error: no array of this name (got 'composd'; expected one of raw, tissue, brain, brain_tissue, normalized, "
        "classes, composed). Hint: did you mean 'composed'?\n"
    )


def test_schema_is_printed_written_and_checked(run, tmp_path):
    assert json.loads(run("schema").output)["title"] == "dacapo_like array"
    assert json.loads(run("schema", "--experiment").output)["title"] == "dacapo_like experiment"
    assert run("schema", "--write", tmp_path).exit_code == 0
    assert len(list(tmp_path.iterdir())) == 5
    assert run("schema", "--check", tmp_path).exit_code == 0
    next(tmp_path.iterdir()).write_text("{}")
    stale = run("schema", "--check", tmp_path)
    assert (stale.exit_code, stale.output.startswith("stale: ")) == (1, True)


def test_the_installed_command_runs():
    result = subprocess.run(
        [sys.executable, "-c", "from dacapo_like.cli import main; main(['--help'])"],
        capture_output=True,
        text=True,
        check=True,
    )
    for command in ("verify", "show", "list", "materialize", "schema"):
        assert command in result.stdout


def test_verify_and_show_import_nothing_heavy(configs):
    code = (
        "import sys; from click.testing import CliRunner; from dacapo_like.cli import main\n"
        f"assert CliRunner().invoke(main, ['list', {str(configs / 'quickstart.yaml')!r}]).exit_code == 0\n"
        "print([name for name in ('dask', 'zarr', 'numba', 'nibabel', 'h5py', 'tensorstore', 'matplotlib', 'scipy') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
