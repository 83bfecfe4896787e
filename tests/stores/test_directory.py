"""A folder of YAML files, which people edit too."""

from __future__ import annotations

import errno
import os
import unicodedata
from pathlib import Path

import pytest

from dacapo_like import ConfigStore, OnesArrayConfig, ZarrArrayConfig
from dacapo_like.config.schema import schema_files
from dacapo_like.errors import ConfigError, DocumentError, InvalidDocumentError, StoreError

RAW = ZarrArrayConfig(file_name="/data/fly.zarr", dataset="em")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "arrays"


@pytest.fixture
def store(folder):
    return ConfigStore(folder)


def write(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


def test_a_document_is_a_file_with_the_line_for_editors(store, folder):
    store.put("raw", RAW)
    assert (folder / "raw.yaml").read_text() == (
        "# yaml-language-server: $schema=.array.schema.json\n"
        "type: zarr\nfile_name: /data/fly.zarr\ndataset: em\n"
    )
    assert (folder / ".array.schema.json").read_text() == schema_files()["array.schema.json"]
    assert sorted(path.name for path in folder.iterdir()) == [
        ".array.schema.json",
        ".lock",
        "raw.yaml",
    ]


def test_the_schema_is_renewed(store, folder):
    write(folder, ".array.schema.json", "{}")
    store.put("raw", RAW)
    assert (folder / ".array.schema.json").read_text() == schema_files()["array.schema.json"]


def test_files_below_the_folder_are_relative_to_it(store, folder):
    store.put("near", ZarrArrayConfig(file_name=str(folder / "data" / "a.zarr")))
    assert "file_name: data/a.zarr" in store.text("near")
    assert store.config("near").file_name == str(folder / "data" / "a.zarr")


def test_what_people_write_is_read_as_any_document(store, folder):
    write(folder, "mine.yaml", "# mine\n__type__: OnesArrayConfig\nsource_array_config: raw\n")
    store.put("raw", RAW)
    assert store.names() == ("mine", "raw")
    assert store.config("mine") == OnesArrayConfig(source_array_config=RAW)


def test_problems_have_their_place(store, folder):
    write(folder, "bad.yaml", "type: zarr\nfile_nam: a.zarr\n")
    write(folder, "worse.yaml", "type: [\n")
    with pytest.raises(InvalidDocumentError) as caught:
        store.config("bad")
    places = {(problem.line, problem.column) for problem in caught.value.problems}
    assert (2, 1) in places
    assert all(problem.path == str(folder / "bad.yaml") for problem in caught.value.problems)
    with pytest.raises(DocumentError, match=rf"{folder}/worse\.yaml:2:1"):
        store.config("worse")
    store.put("bad", RAW, overwrite=True)
    store.delete("worse")
    assert store.config("bad") == RAW


def test_broken_files_are_in_nobody_s_way(store, folder):
    write(folder, "broken.yaml", "raw: [\n")
    (folder / "bytes.yaml").write_bytes(b"raw: \xff")
    (folder / "folder.yaml").mkdir()
    store.put("raw", RAW)
    assert store.users("raw") == ()
    store.rename("raw", "em")
    assert store.search("raw") == ("broken", "bytes")


def test_other_files_are_no_arrays(store, folder):
    for name in ("notes.txt", ".hidden.yaml", "raw.yml", "yaml", ".raw.yaml.partial-0123456789ab"):
        write(folder, name, "type: dummy\n")
    assert store.names() == ()


def test_a_file_in_another_normal_form_is_found(store, folder):
    composed = "m\u00e9rou"
    write(folder, unicodedata.normalize("NFD", composed) + ".yaml", "type: dummy\n")
    assert store.names() == (composed,)
    assert store.config(composed).tag == "dummy"
    with pytest.raises(ConfigError, match="already"):
        store.put(composed, RAW)
    store.put(composed, RAW, overwrite=True)
    assert store.names() == (composed,)
    assert store.config(composed) == RAW
    store.delete(composed)
    assert store.names() == ()


def test_a_file_that_appears_behind_the_lock_is_not_replaced(store, folder, monkeypatch):
    link = os.link

    def late(source, target):
        Path(target).write_text("type: dummy\n")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    with pytest.raises(ConfigError, match="already"):
        store.put("raw", RAW)
    assert store.config("raw").tag == "dummy"
    assert list(folder.glob(".*.partial-*")) == []


def test_a_file_system_without_links_will_do(store, folder, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    store.put("raw", RAW)
    with pytest.raises(ConfigError, match="already"):
        store.put("raw", RAW)
    assert store.config("raw") == RAW
    assert list(folder.glob(".*.partial-*")) == []


def test_what_a_killed_process_left_is_cleared_away(store, folder):
    write(folder, ".raw.yaml.partial-0123456789ab", "typ")
    store.put("raw", RAW)
    assert list(folder.glob(".*.partial-*")) == []


def test_a_disk_that_refuses_is_an_error_with_the_place(store, folder, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device") as caught:
        store.put("raw", RAW)
    assert caught.value.where == str(folder)
    monkeypatch.undo()
    assert store.names() == ()
    assert list(folder.glob(".*.partial-*")) == []


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "file").touch()
    for use in (
        ConfigStore(tmp_path / "file").names,
        lambda: ConfigStore(tmp_path / "file").put("a", RAW),
    ):
        with pytest.raises(StoreError, match="the store cannot be"):
            use()
