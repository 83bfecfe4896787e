"""Patches that a document describes: structure, verify, and what they give, against slices by hand."""

import re

import numpy as np
import pytest
import zarr

from dacapo_like import Experiment, load, verify
from dacapo_like.config.loading import dump
from dacapo_like.errors import ConfigError, InvalidDocumentError
from dacapo_like.patches.cover import Cover
from dacapo_like.patches.sampler import PatchSampler

RNG = np.random.default_rng(0)
RAW = RNG.integers(0, 255, (16, 24, 32), dtype=np.uint8)
GT = RNG.integers(0, 3, (8, 12, 16), dtype=np.uint8)
MASK = np.zeros((16, 24, 32), np.uint8)
MASK[4:6, 6:8, 10:12] = 1


@pytest.fixture
def document(tmp_path):
    for name, data, size in (("raw", RAW, 4), ("gt", GT, 8), ("mask", MASK, 4)):
        stored = zarr.create_array(tmp_path / f"{name}.zarr", data=data)
        stored.attrs.update({"voxel_size": [size] * 3, "axes": ["z", "y", "x"], "units": "nm"})

    def make(**patches):
        arrays = {
            name: {"type": "zarr", "file_name": str(tmp_path / f"{name}.zarr")}
            for name in ("raw", "gt", "mask")
        }
        roles = {"raw": "raw", "gt": "gt", "mask": "mask"}
        return {
            "arrays": arrays,
            "datasets": [
                {"name": "a", "split": "train", **roles},
                {"name": "b", "split": "train", "weight": 3, **roles},
                {"name": "c", "split": "validate", "raw": "raw", "gt": "gt"},
            ],
            "patches": patches,
        }

    return make


def test_a_grid_covers_the_datasets_of_a_split(document):
    patches = load(
        document(validate={"shape": [8, 8, 8], "overlap": 0.25, "edge": "drop"})
    ).patches("validate")
    assert isinstance(patches, Cover)
    assert len(patches) == 2 * 3 * 5
    for sample in patches:
        z, y, x = sample.patch.box.offset
        lattice = sample.patch.lattice
        z, y, x = (int(n * s / 4) for n, s in zip((z, y, x), lattice.voxel_size, strict=True))
        np.testing.assert_array_equal(sample.arrays["raw"], RAW[z : z + 8, y : y + 8, x : x + 8])
        np.testing.assert_array_equal(
            sample.arrays["gt"], GT[z // 2 : z // 2 + 4, y // 2 : y // 2 + 4, x // 2 : x // 2 + 4]
        )
        assert set(sample.arrays) == {"raw", "gt"}
    assert [s.patch for s in patches[2:4]] == [patches[2].patch, patches[3].patch]
    with pytest.raises(IndexError, match="patch 30 of 30"):
        patches[30]


def test_patches_are_drawn_where_the_mask_is(document):
    sampler = {"type": "weighted", "by": "mask"}
    patches = load(
        document(
            train={"shape": [4, 4, 4], "context": [2, 0, 0], "sampler": sampler, "samples": 40}
        )
    ).patches("train")
    assert isinstance(patches, PatchSampler)
    samples = list(patches.epoch(0))
    assert len(samples) == len(patches) == 40
    assert {sample.source for sample in samples} == {0, 1}
    assert sum(sample.source for sample in samples) > 20  # one has three times the weight
    for sample in samples:
        assert sample.arrays["mask"].any()
        assert sample.arrays["raw"].shape == (8, 4, 4)


@pytest.mark.parametrize("form", ["yaml", "toml", "json"])
def test_documents_round_trip(document, tmp_path, form):
    patches = {
        "train": {
            "shape": [4, 8, 8],
            "context": [2, 0, 0],
            "sampler": {"type": "balanced", "by": "gt"},
            "seed": 7,
            "samples": 100,
            "pad": {"constant": 3},
        },
        "validate": {
            "shape": [9.8, 8, 8],
            "units": "world",
            "stride": [1, 2, 3],
            "window": "hann",
        },
    }
    loaded = load(document(**patches))
    path = tmp_path / f"again.{form}"
    path.write_text(dump(loaded.config, form))
    assert load(path) == loaded


@pytest.mark.parametrize(
    ("entry", "key", "message"),
    [
        ({"shape": [4, 4, 4], "sampler": {"type": "weighted"}}, "sampler.by", "needs `by`"),
        ({"shape": [4, 4, 4], "samples": 9, "edge": "pad"}, "edge", "drawn at random or cover"),
        ({"shape": [4, 4, 4], "edge": "pd"}, "edge", "expected one of"),
        ({"shape": [4, 4, 4], "pad": {"constants": 3}}, "pad", "unknown way to pad"),
        ({"shap": [4, 4, 4]}, "shap", "did you mean 'shape'|shape"),
        ({"shape": [4, 4, 3]}, "", "gt"),
        ({"shape": [4, 4]}, "shape", "does not fit the axes"),
        ({"shape": [4, 4, 400]}, "", "no patch|fits"),
        ({"shape": [4, 4, 4], "of": "mask"}, "of", "no array of this name"),
    ],
)
def test_verify_says_what_is_wrong(document, entry, key, message):
    problems = verify(document(validate=entry))
    assert len(problems) >= 1
    assert any(p.key.startswith(f"patches.validate{'.' * bool(key)}{key}") for p in problems)
    assert any(re.search(message, f"{p.message} ({p.hint})") for p in problems)


def test_a_split_without_datasets_and_a_name_that_is_not_there(document):
    made = document(test={"shape": [4, 4, 4]})
    (problem,) = verify(made)
    assert problem.key == "patches.test"
    assert "no dataset of this split" in problem.message
    with pytest.raises(ConfigError, match="no dataset of this split"):
        load(made).patches("test")
    with pytest.raises(ConfigError, match="no patches of this name"):
        load(made).patches("tset")
    with pytest.raises(InvalidDocumentError):
        load(document(test={"shape": [4, 4, 4], "samples": 3, "stride": [1, 1, 1]}))


def test_batches_are_the_patches_in_their_order(document):
    experiment = load(
        document(validate={"shape": [8, 8, 8]}, train={"shape": [4, 4, 4], "samples": 7})
    )
    for name, first in (("validate", None), ("train", 1)):
        patches = experiment.patches(name)
        samples = list(patches if first is None else patches.epoch(first))
        batches = list(experiment.batches(name, 3, epoch=first or 0))
        assert [len(batch["index"]) for batch in batches][:-1] == [3] * (len(batches) - 1)
        numbers = [number for batch in batches for number in batch["index"]]
        assert numbers == list(range(len(samples)))
        for role in samples[0].arrays:
            found = np.concatenate([batch[role] for batch in batches])
            np.testing.assert_array_equal(found, [sample.arrays[role] for sample in samples])
        assert [n for b in batches for n in b["source"]] == [sample.source for sample in samples]
    assert [len(b["raw"]) for b in experiment.batches("train", 3, drop_last=True)] == [3, 3]
    with pytest.raises(ConfigError, match="no batch size"):
        experiment.batches("train", 0)


def test_an_experiment_without_an_end_gives_batches(document):
    sampler = {"type": "uniform"}
    batches = load(document(train={"shape": [4, 4, 4], "sampler": sampler})).batches("train", 2)
    first, second = next(batches), next(batches)
    assert first["index"].tolist() + second["index"].tolist() == [0, 1, 2, 3]


def test_datasets_with_different_arrays_are_no_batch(document):
    data = document(train={"shape": [4, 4, 4]})
    del data["datasets"][1]["mask"]
    with pytest.raises(ConfigError, match="different arrays"):
        list(load(data).batches("train", 1000))


def test_one_array_is_no_experiment(document):
    data = document()
    assert Experiment.load(data) == load(data)
    with pytest.raises(ConfigError, match="no experiment"):
        Experiment.load(data["arrays"]["raw"])
