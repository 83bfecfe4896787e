"""``dacapo-like store …``, and ``--store`` of other commands, as people type them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

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
