"""Names that documents look up in a store."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import zarr

import dacapo_like
from dacapo_like import ConfigStore, OnesArrayConfig, ZarrArrayConfig
from dacapo_like.errors import InvalidDocumentError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "arrays"


@pytest.fixture
def store(folder):
    return ConfigStore(folder)


@pytest.fixture
def raw(store, tmp_path):
    zarr.create_array(tmp_path / "a.zarr", data=np.arange(16, dtype="u1").reshape(4, 4))
    config = ZarrArrayConfig(file_name=str(tmp_path / "a.zarr"))
    store.put("raw", config)
    return config


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def problems(path, store):
    return [
        (problem.line, problem.column, problem.code)
        for problem in dacapo_like.verify(path, store=store)
    ]


def test_a_document_refers_to_the_store(store, raw, tmp_path):
    path = write(tmp_path / "doc.yaml", "type: ones\nsource: raw\n")
    config = dacapo_like.load(path, store=store)
    assert config == OnesArrayConfig(source_array_config=raw)
    assert config.source_array_config.name == "raw"
    assert dacapo_like.open_array(path, store=store).shape == (4, 4)
    assert dacapo_like.verify(path, store=store) == []
    with pytest.raises(InvalidDocumentError, match="no array of this name"):
        dacapo_like.load(path)


def test_an_experiment_refers_to_the_store_also_from_its_datasets(store, raw, tmp_path):
    path = write(
        tmp_path / "doc.yaml",
        "arrays:\n  ones: {type: ones, source: raw}\n"
        "datasets:\n  - {name: one, raw: raw, gt: ones}\n",
    )
    experiment = dacapo_like.Experiment.load(path, store=store)
    assert experiment == dacapo_like.load(path, store=store)
    (dataset,) = experiment.datasets()
    assert dataset.raw == raw
    assert list(experiment.arrays) == ["ones"]
    assert experiment.arrays["ones"].shape == (4, 4)
    with pytest.raises(InvalidDocumentError, match="2 problems"):
        dacapo_like.Experiment.load(path)
    assert dacapo_like.verify(path, store=store) == []


def test_names_of_the_document_come_first_and_hiding_is_a_warning_with_both_places(
    store, raw, folder, tmp_path
):
    path = write(
        tmp_path / "doc.yaml", "arrays:\n  raw: {type: dummy}\n  ones: {type: ones, source: raw}\n"
    )
    config = dacapo_like.load(path, store=store).config
    assert config.arrays["ones"].source_array_config.tag == "dummy"
    (warning,) = [p for p in dacapo_like.verify(path, store=store) if p.code == "DL431"]
    assert (warning.severity, warning.line, warning.column) == ("warning", 2, 3)
    assert str(folder / "raw.yaml") in warning.message
    assert not [p for p in dacapo_like.verify(path) if p.code == "DL431"]


def test_a_name_that_is_nowhere_says_what_was_meant(store, raw, tmp_path):
    path = write(tmp_path / "doc.yaml", "arrays:\n  labels: {type: ones, source: rwa}\n")
    (problem,) = dacapo_like.verify(path, store=store)
    assert (problem.line, problem.column, problem.code) == (2, 32, "DL107")
    assert problem.hint == "did you mean 'raw'?"
    assert "one of labels, raw" in problem.message
    for name in ("../raw", "", "a/b", "x" * 1000):
        path.write_text(f'type: ones\nsource: "{name}"\n')
        assert problems(path, store) == [(2, 9, "DL107")]


def test_what_is_wrong_in_the_store_is_said_with_both_places(store, folder, tmp_path):
    write(folder / "bad.yaml", "type: zarr\nfile_nam: a.zarr\n")
    write(folder / "worse.yaml", "type: [\n")
    write(folder / "between.yaml", "type: ones\nsource: bad\n")
    write(folder / "several.yaml", "arrays: {}\n")
    path = tmp_path / "doc.yaml"
    for name, place in {
        "bad": f"{folder}/bad.yaml:2:1: unknown key",
        "worse": f"{folder}/worse.yaml:2:1",
        "between": f"{folder}/between.yaml:2:9: array 'bad' of the store",
        "several": f"{folder}/several.yaml:1:1: an array without a type",
    }.items():
        write(path, f"arrays:\n  one: {{type: ones, source: {name}}}\n")
        (problem,) = dacapo_like.verify(path, store=store)
        assert (problem.line, problem.column, problem.code) == (2, 29, "DL131")
        assert place in problem.message


def test_circles_name_all_places(store, folder, tmp_path):
    write(folder / "a.yaml", "type: ones\nsource: b\n")
    write(folder / "b.yaml", "name: B\ntype: ones\nsource: a\n")
    path = write(tmp_path / "doc.yaml", "type: ones\nsource: a\n")
    (problem,) = dacapo_like.verify(path, store=store)
    assert (problem.line, problem.column, problem.code) == (2, 9, "DL108")
    for said in (f"{folder}/a.yaml:2:9", f"{folder}/b.yaml:3:9", "a -> b -> a"):
        assert said in problem.message
    with pytest.raises(InvalidDocumentError) as caught:
        store.config("a")
    assert "a -> b -> a" in str(caught.value)
    with pytest.raises(InvalidDocumentError, match="own -> own"):
        store.put("own", {"type": "ones", "source": "own"})


def test_a_put_that_would_close_a_circle_is_refused(store, raw):
    store.put("ones", {"type": "ones", "source": "raw"})
    with pytest.raises(InvalidDocumentError, match="raw -> ones -> raw"):
        store.put("raw", {"type": "ones", "source": "ones"}, overwrite=True)
    assert store.config("raw") == raw


def test_long_chains_end(store, folder, raw):
    for i in range(70):
        write(folder / f"{i}.yaml", f'type: ones\nsource: "{i - 1}"\n' if i else "type: dummy\n")
    assert store.config("60").tag == "ones"
    with pytest.raises(InvalidDocumentError, match="nested too deeply"):
        store.config("69")


def test_what_is_referred_to_twice_is_read_once(store, raw, folder, tmp_path, monkeypatch):
    store.put("ones", {"type": "ones", "source": "raw"})
    path = write(
        tmp_path / "doc.yaml",
        "type: sum\nsources: [raw, ones, ones, {type: ones, source: raw}]\n",
    )
    config = dacapo_like.load(path, store=store)
    first, second, third, fourth = config.source_array_configs
    assert second is third
    assert fourth.source_array_config is first is second.source_array_config


def test_an_array_of_the_store_that_does_not_open_is_reported_where_it_is_named(store, tmp_path):
    store.put("gone", {"type": "zarr", "file_name": str(tmp_path / "gone.zarr")})
    store.put("ones", {"type": "ones", "source": "gone"})
    path = write(
        tmp_path / "doc.yaml",
        "arrays:\n  one: {type: ones, source: ones}\n"
        "datasets:\n  - {name: a, raw: gone}\n  - {name: b, raw: ones}\n",
    )
    assert problems(path, store) == [(2, 29, "DL201")]
    write(path, "arrays: {}\ndatasets:\n  - {name: a, raw: ones}\n")
    assert problems(path, store) == [(3, 20, "DL201")]


def test_a_store_that_does_not_answer_is_a_problem(tmp_path):
    store = ConfigStore("postgresql+pg8000://nobody@127.0.0.1:1/nothing")
    path = write(tmp_path / "doc.yaml", "arrays:\n  one: {type: ones, source: raw}\n")
    assert {code for _, _, code in problems(path, store)} == {"DL240"}


def test_file_names_start_at_the_document_that_has_them(store, folder, tmp_path):
    write(folder / "raw.yaml", "type: zarr\nfile_name: data/a.zarr\n")
    config = dacapo_like.load({"type": "ones", "source": "raw"}, store=store)
    assert config.source_array_config.file_name == str(folder / "data" / "a.zarr")


def test_parameters_are_those_of_the_document_in_the_store(store, folder):
    write(
        folder / "raw.yaml", "parameters: {d: em}\ntype: zarr\nfile_name: /a.zarr\ndataset: ${d}\n"
    )
    config = dacapo_like.load({"type": "ones", "source": "raw"}, store=store)
    assert config.source_array_config.dataset == store.config("raw").dataset == "em"


def test_text_that_looks_like_a_parameter_stays_text(store):
    config = ZarrArrayConfig(file_name="/data/${x}.zarr", dataset="$${y}")
    store.put("raw", config)
    assert store.config("raw") == config


def test_names_in_documents_are_normalised(store, raw):
    store.put("m\u00e9rou", attrs.evolve(raw, name=None))
    config = dacapo_like.load({"type": "ones", "source": "me\u0301rou"}, store=store)
    assert config == OnesArrayConfig(source_array_config=raw)
