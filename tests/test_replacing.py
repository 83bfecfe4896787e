"""Files and folders are replaced as a whole, or stay."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dacapo_like.replacing import beside, locked, replace_file, replace_folder


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    replace_file(path, "new: é")
    assert path.read_text(encoding="utf-8") == "new: é"
    assert names(tmp_path) == ["a.json"]


def test_a_file_that_cannot_be_replaced_stays(tmp_path):
    path = tmp_path / "a.json"
    (path / "inside").mkdir(parents=True)  # a folder that is not empty is in the way
    with pytest.raises(OSError, match="directory"):
        replace_file(path, "new")
    assert names(tmp_path) == ["a.json"]


def test_a_folder_is_replaced(tmp_path):
    path = tmp_path / "a.zarr"
    partial = beside(path)
    for folder, text in ((path, "old"), (partial, "new")):
        folder.mkdir()
        (folder / "file").write_text(text)
    replace_folder(partial, path)
    assert (path / "file").read_text() == "new"
    assert names(tmp_path) == ["a.zarr"]


def test_a_folder_stays_where_its_successor_is_missing(tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "file").write_text("old")
    with pytest.raises(FileNotFoundError):
        replace_folder(beside(path), path)
    assert (path / "file").read_text() == "old"
    assert names(tmp_path) == ["a.zarr"]


def test_a_lock_is_held_by_one_at_a_time(tmp_path):
    counter: list[int] = [0]
    overlaps = []
    inside = threading.Event()

    def count():
        for _ in range(200):
            with locked(tmp_path):
                overlaps.append(inside.is_set())
                inside.set()
                counter[0] += 1
                inside.clear()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter == [800]
    assert not any(overlaps)


def test_a_lock_is_released_by_an_error(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        assert Path(tmp_path).is_dir()
