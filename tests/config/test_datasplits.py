"""DaCapo's documents of datasets and datasplits load as experiments."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import dacapo_like
from dacapo_like.config.document import parse_document
from dacapo_like.config.loading import load_document

ZARR = "{{__type__: ZarrArrayConfig, name: {name}, file_name: a.zarr, dataset: {dataset}, _axes: null, snap_to_grid: null}}"
RAW, GT = ZARR.format(name="raw", dataset="raw"), ZARR.format(name="gt", dataset="gt")
SPLIT = f"""\
__type__: TrainValidateDataSplitConfig
name: split
train_configs:
- __type__: RawGTDatasetConfig
  name: one
  weight: 3
  raw_config: {RAW}
  gt_config: {GT}
  mask_config: null
  sample_points: null
- __type__: RawGTDatasetConfig
  name: two
  weight: 1
  raw_config: {RAW}
  gt_config: {ZARR.format(name="gt", dataset="gt2")}
  mask_config: {ZARR.format(name="mask", dataset="mask")}
  sample_points:
  - !!python/tuple [4, 8, 8]
validate_configs:
- __type__: RawGTDatasetConfig
  name: three
  raw_config: {RAW}
  gt_config: {GT}
"""


def test_a_datasplit_is_an_experiment():
    config = load_document(parse_document(SPLIT)).config
    assert list(config.arrays) == ["raw", "gt", "two_gt", "mask"]
    found = [(d.name, d.split, d.weight, list(d.arrays)) for d in config.datasets]
    assert found == [
        ("one", "train", 3, ["raw", "gt"]),
        ("two", "train", 1, ["raw", "gt", "mask"]),
        ("three", "validate", 1, ["raw", "gt"]),
    ]
    assert config.datasets[0].raw == config.arrays["raw"]
    assert config.datasets[1].gt == config.arrays["two_gt"]
    assert config.arrays["two_gt"].dataset == "gt2"
    assert config.datasets[1].sample_points == ((4, 8, 8),)


def test_a_dataset_is_an_experiment_of_one():
    text = f"__type__: RawGTDatasetConfig\nname: one\nraw_config: {RAW}\ngt_config: {GT}"
    config = load_document(parse_document(text)).config
    assert [(d.name, d.split) for d in config.datasets] == [("one", "train")]


@pytest.mark.parametrize("form", ["yaml", "toml", "json"])
def test_it_can_be_written_down(tmp_path, form):
    loaded = load_document(parse_document(SPLIT, directory=tmp_path))
    path = tmp_path / f"new.{form}"
    path.write_text(dacapo_like.dump(loaded.config, form))
    assert dacapo_like.load(path).config == loaded.config


@pytest.mark.parametrize(
    ("old", "new", "place", "key"),
    [
        ("dataset: gt2", "datset: gt2", (15, "DL105"), "train_configs[1].gt_config.datset"),
        ("weight: 3", "weight: x", (6, "DL103"), "train_configs[0].weight"),
        ("weight: 3", "wieght: 3", (6, "DL105"), "train_configs[0].wieght"),
        ("name: three", "name: 3", (21, "DL103"), "validate_configs[0].name"),
        ("train_configs:", "train_confgs:", (3, "DL105"), "train_confgs"),
        ("__type__: RawGTDatasetConfig\n  name: three", "__type__: DummyDatasetConfig\n  name: three", (20, "DL101"), "validate_configs[0].__type__"),
    ],
)  # fmt: skip
def test_problems_are_where_the_document_has_them(old, new, place, key):
    assert SPLIT.count(old) == 1
    problems = load_document(parse_document(SPLIT.replace(old, new))).problems
    assert (problems[0].line, problems[0].code) == place or place in [
        (p.line, p.code) for p in problems
    ]
    assert key in [problem.key for problem in problems]


def test_what_is_missing_is_named_as_dacapo_does():
    problems = load_document(parse_document("__type__: RawGTDatasetConfig\nweight: 1")).problems
    assert [(p.key, p.code) for p in problems] == [("name", "DL102"), ("raw_config", "DL102")]
    empty = load_document(parse_document("__type__: TrainValidateDataSplitConfig\nname: none"))
    assert empty.problems == []
    assert empty.config.datasets == ()


def test_it_verifies_and_gives_patches(tmp_path):
    for name, dtype in (("raw", "u1"), ("gt", "u4"), ("gt2", "u4"), ("mask", "u1")):
        data = np.arange(16**3, dtype=dtype).reshape(16, 16, 16)
        stored = zarr.create_array(tmp_path / "a.zarr", name=name, data=data)
        stored.attrs.update({"voxel_size": [1, 1, 1], "offset": [0, 0, 0], "units": "nm"})
    path = tmp_path / "split.yaml"
    path.write_text(SPLIT)
    assert [p for p in dacapo_like.verify(path) if p.severity == "error"] == []
    experiment = dacapo_like.load(path)
    assert len(experiment.datasets(split="train")) == 2
    assert experiment.arrays["mask"].shape == (16, 16, 16)


def test_patches_around_sample_points(tmp_path):
    stored = zarr.create_array(
        tmp_path / "a.zarr", data=np.arange(4096, dtype="u2").reshape(16, 16, 16)
    )
    stored.attrs.update({"voxel_size": [2, 2, 2], "offset": [0, 0, 0], "units": "nm"})
    data = {
        "arrays": {"raw": {"type": "zarr", "file_name": str(tmp_path / "a.zarr")}},
        "datasets": [{"name": "one", "raw": "raw", "sample_points": [[9, 9, 9], [17, 9, 9]]}],
        "patches": {"train": {"shape": [4, 4, 4], "sampler": {"type": "points"}}},
    }
    samples = dacapo_like.load(data).patches("train")
    found = {tuple(int(n) for n in samples.at(0, i).patch.box.offset) for i in range(2)}
    assert found == {(2, 2, 2), (6, 2, 2)}
    del data["datasets"][0]["sample_points"]
    with pytest.raises(dacapo_like.DacapoLikeError, match="points in every dataset"):
        dacapo_like.load(data).patches("train")
