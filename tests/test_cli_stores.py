"""``dacapo-like store …``, and ``--store`` of other commands, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dacapo_like import ConfigStore
from dacapo_like.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DACAPO_LIKE_STORE", raising=False)
    (tmp_path / "dacapo-like.toml").write_text('store = "arrays"\n')

    def invoke(*arguments, said=None, code=0, **options):
        result = CliRunner().invoke(main, [str(each) for each in arguments], **options)
        assert result.exit_code == code, result.output
        if said is not None:
            assert said in result.output
        return result.output

    return invoke


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "doc.yaml"
    path.write_text(
        "arrays:\n"
        "  raw: {type: zarr, file_name: fly.zarr, dataset: em}\n"
        "  scaled: {type: intensities, source: raw, min: 0, max: 255}\n"
    )
    return path


def test_arrays_are_imported_listed_shown_and_searched(run, document, tmp_path):
    assert "no arrays" in run("store", "list")
    assert run("store", "import", document) == "imported 2 arrays\n"
    assert run("store", "list") == "raw     zarr\nscaled  intensities\n"
    assert (
        run("store", "show", "scaled") == "type: intensities\nsource: raw\nmin: 0.0\nmax: 255.0\n"
    )
    resolved = run("store", "show", "scaled", "--resolved")
    assert f"file_name: {tmp_path}/fly.zarr" in resolved
    assert run("store", "search", "INTENS") == "scaled\n"
    assert run("store", "search", "nothing", code=1) == ""
    run("store", "show", "scald", code=1, said="did you mean 'scaled'")
    run("store", "import", document, code=1, said="--overwrite")
    run("store", "import", document, "raw", "--overwrite", said="imported 1 array\n")
    run("store", "import", document, "rwa", code=1, said="no array of this name")


def test_put_takes_a_document_one_of_its_arrays_or_standard_input(run, document, tmp_path):
    one = tmp_path / "one.yaml"
    one.write_text("type: ones\nsource: raw\n")
    run("store", "put", "raw", document, "raw", said=f"wrote {tmp_path}/arrays/raw.yaml\n")
    run("store", "put", "ones", one)
    assert run("store", "show", "ones") == "type: ones\nsource: raw\n"
    run("store", "put", "ones", one, code=1, said="--overwrite")
    run("store", "put", "ones", one, "--overwrite")
    run("store", "put", "dash", "-", input="type: dummy\n")
    run("store", "put", "bad", "-", input="type: dumy\n", code=1, said="<stdin>:1:7")
    run("store", "put", "bad", document, "rwa", code=1, said="did you mean 'raw'")
    run("store", "put", "../bad", one, code=1, said="not a name")
    run("store", "put", "bad", document, code=1)
    assert run("store", "list") == "dash  dummy\nones  ones\nraw   zarr\n"


def test_delete_and_rename_mind_who_refers(run, document):
    run("store", "import", document)
    run("store", "delete", "raw", code=1, said="--force")
    run("store", "rename", "raw", "em", code=1, said="as in scaled")
    assert run("store", "rename", "scaled", "grey") == "renamed scaled to grey\n"
    assert run("store", "delete", "grey", "raw") == "deleted grey\ndeleted raw\n"
    run("store", "delete", "raw", code=1, said="no array of this name")


def test_stores_of_others_are_imported(run, tmp_path):
    theirs = tmp_path / "dacapo"
    (theirs / "arrays").mkdir(parents=True)
    (theirs / "arrays" / "em.yaml").write_text(
        "__type__: ZarrArrayConfig\n_axes: null\ndataset: em\nfile_name: /a.zarr\nname: em\nsnap_to_grid: null\n"
    )
    (theirs / "arrays" / "odd.yaml").write_text("__type__: OddArrayConfig\nname: odd\n")
    run("store", "import", theirs, code=1, said=f"did you mean '{theirs}/arrays'")
    broken = run("store", "import", theirs / "arrays", code=1)
    assert f"odd: {theirs}/arrays/odd.yaml:1:11: error DL101" in broken
    assert "1 of 2 arrays cannot be imported, and nothing was" in broken
    run("store", "import", theirs / "arrays", "--skip-broken", said="imported 1 array, 1 left out")
    assert run("store", "show", "em") == "type: zarr\nfile_name: /a.zarr\ndataset: em\n"
    run("store", "import", "arrays", "--store", "sqlite:///copy.db")
    assert run("store", "list", "--store", "sqlite:///copy.db") == "em  zarr\n"


def test_a_broken_document_is_listed_with_its_code(run, tmp_path):
    (tmp_path / "arrays").mkdir()
    (tmp_path / "arrays" / "bad.yaml").write_text("type: zar\n")
    run("store", "list", said="bad  (DL101: unknown type of array)")


def test_documents_refer_to_the_store_that_is_chosen_for_them(run, configs, tmp_path):
    em = {"type": "zarr", "file_name": str(configs / "data" / "em.zarr"), "dataset": "raw"}
    run("store", "put", "em", "-", input=json.dumps(em))
    document = tmp_path / "doc.yaml"
    document.write_text("arrays:\n  ones: {type: ones, source: em}\n")
    run("verify", document, said="no problems")
    run("show", document, "ones", said="zarr 'em'")
    run("list", document, said="ones")
    run("materialize", document, "ones", tmp_path / "ones.zarr", said="wrote")
    run("verify", document, "--store", "elsewhere", code=1, said="DL107")
    (tmp_path / "dacapo-like.toml").unlink()
    run("verify", document, code=1, said="DL107")
    run("verify", document, "--store", "arrays", said="no problems")
    run("verify", document, env={"DACAPO_LIKE_STORE": "arrays"}, said="no problems")
    run("store", "list", code=1, said="no store is chosen")


@pytest.mark.parametrize("url", ["dir:kept", "sqlite:///kept.db"])
def test_stores_are_verified_by_their_url(run, configs, url):
    em = {"type": "zarr", "file_name": str(configs / "data" / "em.zarr"), "dataset": "raw"}
    run("verify", url, code=1, said="there are no arrays in the store")
    run("store", "put", "em", "-", "--store", url, input=json.dumps(em))
    run("store", "put", "ones", "-", "--store", url, input="type: ones\nsource: em\n")
    run("verify", url, said="2 documents: no problems")
    run("verify", "--store", url, said="2 documents: no problems")
    run("verify", env={"DACAPO_LIKE_STORE": url}, said="2 documents: no problems")
    run("verify", url, "--deep", said="2 documents: no problems")
    run("store", "delete", "em", "--force", "--store", url)
    kept = ConfigStore(url)
    line = 2 + (kept.url == str(Path("kept").absolute()))
    expected = f"{kept.place('ones')}:{line}:9: error DL107 [source]: no array of this name"
    said = run("verify", url, code=1, said=expected)
    assert f"\n  {line} | source: em\n    |         ^\n" in said
    found = json.loads(run("verify", url, "--format", "json", code=1).partition("\n1 document")[0])
    assert [problem["path"] for problem in found["problems"]] == [kept.place("ones")]
    run("verify", url, "--watch", code=2, said="not at stores")


def test_documents_and_stores_are_verified_together(run, document):
    run("store", "put", "ones", "-", "--store", "sqlite:///x.db", input="type: dummy\n")
    said = run("verify", document, "sqlite:///x.db", document, code=1)
    assert "2 documents: " in said
    assert f"{document}:2:" in said
    assert "x.db#ones:1:1: error DL215" in said


def test_nothing_to_verify_is_wrong_usage_and_unknown_stores_are_errors(run, tmp_path):
    (tmp_path / "dacapo-like.toml").unlink()
    run("verify", code=2, said="what to verify")
    run("verify", "ftp://host/x", code=1, said="no store has such a URL")


def test_documents_that_refer_to_a_store_are_converted(run, tmp_path):
    run("store", "put", "em", "-", input="type: zarr\nfile_name: /em.zarr\n")
    document = tmp_path / "doc.yaml"
    document.write_text(
        "arrays:\n  a: {__type__: OnesArrayConfig, source_array_config: em}  # kept\n  b: {type: ones, source: a}\n"
    )
    run("convert", document, tmp_path / "new.toml", said="wrote")
    new = (tmp_path / "new.toml").read_text()
    assert 'source = "em"' in new
    assert 'source = "a"' in new
    run("convert", document, tmp_path / "no.toml", "--store", "elsewhere", code=1, said="DL107")
    run("convert", document, "--in-place", "--store", "elsewhere", code=1, said="DL107")
    run("convert", document, "--in-place", said="wrote")
    assert "a: {type: ones, source: em}  # kept" in document.read_text()


def test_drafts_are_kept_in_a_store(run, tmp_path):
    np.save(tmp_path / "em.npy", np.zeros((2, 3, 4, 5), "u1"))
    np.savez(tmp_path / "two.npz", raw=np.zeros((3, 4), "u1"), gt=np.ones((3, 4), "u1"))
    put = ("new", "array", "em.npy", "--store", "arrays")
    assert f"wrote {tmp_path}/arrays/fly.yaml\n" in run(*put, "--name", "fly", said="a guess")
    assert f"file_name: {tmp_path}/em.npy" in run("store", "show", "fly", "--resolved")
    run(*put, "--name", "fly", code=1, said="--overwrite")
    run(*put, "--name", "fly", "--overwrite")
    run(*put, said="arrays/em.yaml")
    run("new", "array", "two.npz", "--store", "arrays", "--name", "x", code=2, said="raw, gt")
    run("new", "array", "two.npz", "--store", "arrays")
    assert run("store", "list").split() == ["em", "npy", "fly", "npy", "gt", "npy", "raw", "npy"]
    run("verify", said="4 documents: no problems")
    run(*put, "--out", "x.yaml", code=2)
    run("new", "array", "em.npy", "--name", "x", code=2)
