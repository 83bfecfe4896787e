"""Documents as people load them."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

import dacapo_like
from dacapo_like.errors import ConfigError, DocumentError


@pytest.fixture
def path(tmp_path):
    zarr.create_array(
        tmp_path / "a.zarr", data=np.arange(16, dtype="u1").reshape(4, 4), chunks=(2, 2)
    )
    path = tmp_path / "doc.yaml"
    path.write_text(
        "arrays:\n"
        "  raw: {type: zarr, file_name: a.zarr}\n"
        "  scaled: {type: intensities, source: raw, min: 0, max: 15}\n"
        "  gone: {type: zarr, file_name: gone.zarr}\n"
        "datasets:\n"
        "  - {name: one, raw: scaled}\n"
        "  - {name: two, split: validate, raw: scaled, gt: raw}\n"
    )
    return path


def test_opening_by_name_leaves_the_others_alone(path):
    array = dacapo_like.open_array(path, "scaled")
    np.testing.assert_allclose(array.read(), np.arange(16).reshape(4, 4) / 15, rtol=1e-6)
    assert array.describe() == "intensities 'scaled'"


def test_arrays_of_an_experiment_share_their_sources(path):
    experiment = dacapo_like.load(path)
    raw = experiment.arrays["raw"]
    assert experiment.arrays["scaled"].inputs == (raw,)
    assert experiment.arrays["raw"] is raw
    assert list(experiment.arrays) == ["raw", "scaled", "gone"]
    assert "raw" in experiment.arrays
    assert len(experiment.arrays) == 3


def test_datasets_by_split(path):
    experiment = dacapo_like.load(path)
    assert [dataset.name for dataset in experiment.datasets()] == ["one", "two"]
    (two,) = experiment.datasets(split="validate")
    assert two.gt == experiment.config.arrays["raw"]
    assert "2 datasets" in repr(experiment)


def test_a_name_is_needed_where_there_are_several(path):
    with pytest.raises(ConfigError, match="several arrays"):
        dacapo_like.open_array(path)
    with pytest.raises(ConfigError, match="did you mean 'raw'"):
        dacapo_like.open_array(path, "rawr")


def test_one_array_has_at_most_its_own_name(path, tmp_path):
    single = tmp_path / "one.yaml"
    single.write_text("{type: zarr, name: raw, file_name: a.zarr}")
    assert (
        dacapo_like.open_array(single).shape
        == dacapo_like.open_array(single, "raw").shape
        == (4, 4)
    )
    with pytest.raises(ConfigError, match="no array of this name"):
        dacapo_like.open_array(single, "other")


def test_mappings_and_configs_open_too(path):
    data = {"type": "ones", "source": {"type": "zarr", "file_name": str(path.parent / "a.zarr")}}
    config = dacapo_like.load(data)
    for target in (data, config):
        np.testing.assert_array_equal(dacapo_like.open_array(target).read(), np.ones((4, 4)))
    experiment = dacapo_like.load(path)
    assert dacapo_like.open_array(experiment, "raw") is experiment.arrays["raw"]
    assert experiment == dacapo_like.load(path)
    assert hash(experiment) == hash(dacapo_like.load(path))


def test_a_document_that_is_not_there(tmp_path):
    with pytest.raises(DocumentError, match=r"nowhere\.yaml"):
        dacapo_like.load(tmp_path / "nowhere.yaml")
