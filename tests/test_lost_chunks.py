"""A chunk that our writer listed and that is gone is an error; one that was left out is the fill value."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dacapo_like import ZarrArrayConfig, from_numpy, verify
from dacapo_like.errors import ReadError
from dacapo_like.manifest import FILE_NAME
from dacapo_like.materialize import materialize

sys.path.insert(0, str(Path(__file__).parent / "sources"))

from web_server import serving  # behind the above


def voxels():
    data = np.arange(1, 1 + 16 * 16, dtype="uint16").reshape(16, 16)
    data[8:, :8] = 0  # these chunks are left out
    return data


def written(folder, **options):
    return materialize(from_numpy(voxels()), folder / "a.zarr", chunks=(4, 4), **options)


def opened(path, **fields):
    return ZarrArrayConfig(file_name=str(path), **fields).array()


@pytest.mark.parametrize(
    ("options", "lost"),
    [({}, "0/c/1/2"), ({"shards": (8, 8)}, "0/c/0/1"), ({"version": "0.4"}, "0/1/2")],
)
@pytest.mark.parametrize("missing", ["fill", "warn", "error"])
@pytest.mark.filterwarnings("ignore::dacapo_like.errors.DataWarning")  # before the error
def test_a_lost_chunk_is_an_error_wherever_it_is_read(tmp_path, options, lost, missing):
    path = written(tmp_path, **options)
    np.testing.assert_array_equal(opened(path)[...], voxels())
    assert not (path / "0" / "c" / "2" / "0").exists()
    (path / lost).unlink()
    array = opened(path, missing=missing)
    with pytest.raises(ReadError, match=r"lost|missing") as error:
        array[4:8, 8:12]
    if missing != "error":
        assert error.value.what == "a chunk that was written is lost"
        assert f"no file {lost[2:]}" in str(error.value)
    np.testing.assert_array_equal(array[:4, :4], voxels()[:4, :4])
    if missing == "fill":
        np.testing.assert_array_equal(array[8:, :8], voxels()[8:, :8])
    assert "DL301" in [problem.code for problem in verify(array.config, deep=True)]


def test_a_level_is_watched_as_well(tmp_path):
    path = written(tmp_path, levels=2)
    (path / "1" / "c" / "0" / "0").unlink()
    with pytest.raises(ReadError, match="lost"):
        opened(path, level=1)[...]
    with pytest.raises(ReadError, match="lost"):
        opened(path / "1")[...]


def test_a_zip_that_lost_a_member(tmp_path):
    path = materialize(from_numpy(voxels()), tmp_path / "a.zarr.zip", chunks=(4, 4))
    np.testing.assert_array_equal(opened(path)[...], voxels())
    with zipfile.ZipFile(path) as file, zipfile.ZipFile(tmp_path / "b.zarr.zip", "w") as copy:
        for name in file.namelist():
            if not name.endswith("c/1/2"):
                copy.writestr(name, file.read(name))
    with pytest.raises(ReadError, match="no file c/1/2"):
        opened(tmp_path / "b.zarr.zip")[...]


def test_without_the_list_zarr_s_own_rule_holds(tmp_path):
    path = written(tmp_path)
    (path / "0" / "c" / "1" / "2").unlink()
    (path / "0" / FILE_NAME).unlink()
    assert not opened(path)[4:8, 8:12].any()


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_zeros_that_are_assigned_later_are_not_taken_for_lost(tmp_path, version):
    path = written(tmp_path, version=version)
    array = opened(path, mode="r+")
    array[4:8, 8:12] = 0
    expected = voxels()
    expected[4:8, 8:12] = 0
    np.testing.assert_array_equal(opened(path)[...], expected)


def test_a_copy_is_watched_too(tmp_path):
    shutil.copytree(written(tmp_path), tmp_path / "b.zarr")
    (tmp_path / "b.zarr" / "0" / "c" / "0" / "0").unlink()
    with pytest.raises(ReadError, match="lost"):
        opened(tmp_path / "b.zarr")[...]


def served(web, path, **fields):
    return opened(f"{web.url}/{path.name}", **fields)


@pytest.mark.parametrize(
    ("options", "lost"),
    [({}, "0/c/1/2"), ({"shards": (8, 8)}, "0/c/0/1"), ({"version": "0.4"}, "0/1/2")],
)
@pytest.mark.parametrize("missing", ["fill", "warn", "error"])
@pytest.mark.filterwarnings(
    "ignore::dacapo_like.errors.DataWarning"
)  # of chunks that were left out
def test_a_chunk_that_a_server_lost_is_an_error_too(tmp_path, options, lost, missing):
    path = written(tmp_path, **options)
    with serving(tmp_path) as web:
        if missing != "error":
            np.testing.assert_array_equal(served(web, path, missing=missing)[...], voxels())
        (path / lost).unlink()
        array = served(web, path, missing=missing)
        with pytest.raises(ReadError, match=r"lost|missing") as error:
            array[4:8, 8:12]
        if missing != "error":
            assert f"no file {lost[2:]}" in str(error.value)
            with pytest.raises(ReadError, match="lost"):
                array[...]
        np.testing.assert_array_equal(array[:4, :4], voxels()[:4, :4])
        if missing == "fill":
            np.testing.assert_array_equal(array[8:, :8], voxels()[8:, :8])


def test_a_server_is_asked_for_the_list_only_when_a_chunk_is_not_there(tmp_path):
    path = written(tmp_path)
    with serving(tmp_path) as web:
        array = served(web, path)
        np.testing.assert_array_equal(array[:8], voxels()[:8])
        assert not [name for name in web.paths if name.endswith(FILE_NAME)]
        for _ in range(3):
            np.testing.assert_array_equal(array[...], voxels())
        assert len([name for name in web.paths if name.endswith(FILE_NAME)]) == 1


def test_without_the_list_zarr_s_own_rule_holds_for_servers(tmp_path):
    path = written(tmp_path)
    (path / "0" / "c" / "1" / "2").unlink()
    (path / "0" / FILE_NAME).unlink()
    with serving(tmp_path) as web:
        array = served(web, path)
        for _ in range(2):
            assert not array[4:8, 8:12].any()
