"""Documents in folders, and when they change."""

from __future__ import annotations

import os

import pytest
import zarr

from dacapo_like.config.watching import changes, documents_in
from dacapo_like.errors import DocumentError


def write(path, text="type: zarr\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_folders_stand_for_their_documents(tmp_path):
    documents = [
        write(tmp_path / "a.yaml", "# words first\n\ntype: zarr\n"),
        write(tmp_path / "b.toml", '[arrays.raw]\ntype = "zarr"\n'),
        write(tmp_path / "c.json", '{"type": "zarr"}'),
        write(tmp_path / "deep" / "d.yml", "datasets: []\narrays:\n"),
        write(tmp_path / "deep" / "e.YAML", "{arrays: {}}"),
        write(tmp_path / "deep" / "f.yaml", "\ufeffarrays: [\n"),
        write(tmp_path / "deep" / "f2.json", '{\n  "arrays": {\n'),
        write(tmp_path / "deep" / "g.yaml", "__type__: ZarrArrayConfig\n"),
    ]
    write(tmp_path / "notes.txt", "type: zarr")
    write(tmp_path / "compose.yaml", "services:\n  a:\n    type: bind\ntypes: 1\n")
    write(tmp_path / "other.yaml", "repos: []\n")
    write(tmp_path / ".hidden" / "a.yaml")
    write(tmp_path / ".hidden.yaml")
    zarr.create_group(tmp_path / "data" / "em.zarr").create_array("type", shape=(2,), dtype="u1")
    assert documents_in([tmp_path]) == documents


def test_what_is_named_is_taken_whatever_it_is_and_once(tmp_path):
    other = write(tmp_path / "other.yaml", "repos: []\n")
    document = write(tmp_path / "a.yaml")
    nowhere = tmp_path / "nowhere.yaml"
    assert documents_in([other, nowhere, tmp_path, document]) == [other, nowhere, document]


def test_a_folder_without_documents_is_refused(tmp_path):
    write(tmp_path / "other.yaml", "repos: []\n")
    with pytest.raises(DocumentError, match="no documents in the folder"):
        documents_in([tmp_path])


def test_changes_are_seen_and_nothing_else(tmp_path):
    first = write(tmp_path / "a.yaml")
    looks = []

    def look():
        """Change something at every second look; the look in between has to be passed over."""
        looks.append(len(looks))
        if len(looks) == 3:
            os.utime(first, ns=(1, 1))
        if len(looks) == 5:
            write(tmp_path / "b.yaml")
        if len(looks) == 7:
            first.unlink()
        return documents_in([tmp_path])

    seen = changes(look, every=0)
    names = [[path.name for path in next(seen)] for _ in range(4)]
    assert names == [["a.yaml"], ["a.yaml"], ["a.yaml", "b.yaml"], ["b.yaml"]]
    assert looks == list(range(7))
