import json

import numpy as np
import pytest

from dacapo_like import (
    RelabelChannelsArrayConfig,
    Roi,
    create_array,
    dump,
    from_numpy,
    load,
    open_array,
)
from dacapo_like.errors import ConfigError, SpecError
from dacapo_like.testing import ArrayContract, Case, as_zarr, sample_voxels


class TestLaws(ArrayContract):
    def case_channels_first(self, directory):
        voxels = sample_voxels((2, 4, 5), "uint16")
        source = as_zarr(voxels, directory / "a", axes="cyx", voxel_size=(9.8, 0.7), units="nm")
        return Case(source.set_channel_labels(["DAPI", "GFP"]), voxels)

    def case_time_before_channels(self, directory):
        voxels = sample_voxels((2, 3, 4, 5), "float32")
        source = as_zarr(voxels, directory / "a", axes="tcyx")
        return Case(source.set_channel_labels("abc"[i] for i in range(3)), voxels)


@pytest.fixture
def cells():
    data = np.arange(24, dtype="uint8").reshape(2, 3, 4)
    return from_numpy(data, axes="cyx", channels=("DAPI", "GFP"))


def test_only_the_names_change(cells):
    renamed = cells.set_channel_labels(["nuclei", "membrane"])
    assert renamed.channels == ("nuclei", "membrane")
    assert renamed.spec.replace(channels=None) == cells.spec.replace(channels=None)
    np.testing.assert_array_equal(renamed.read(), cells.read())


def test_some_channels_get_new_names(cells):
    assert cells.rename_channels({"GFP": "membrane"}).channels == ("DAPI", "membrane")
    assert cells.rename_channels({"GFP": "DAPI", "DAPI": "GFP"}).channels == ("GFP", "DAPI")
    with pytest.raises(SpecError, match="no such channel") as caught:
        cells.rename_channels({"GPF": "membrane"})
    assert "GFP" in caught.value.hint


def test_what_was_done_can_be_saved(tmp_path):
    source = as_zarr(sample_voxels((2, 4, 5), "uint8"), tmp_path / "a", axes="cyx")
    renamed = source.rename_channels({"0": "nuclei"})
    again = open_array(load(json.loads(dump(renamed.config, "json"))))
    assert again.config == renamed.config
    assert again.channels == ("nuclei", "1")


def test_what_is_assigned_goes_to_the_source(tmp_path):
    source = create_array(
        tmp_path / "a.zarr",
        "raw",
        axes="cyx",
        roi=Roi((0, 0), (3, 4)),
        voxel_size=(1, 1),
        channels=["0", "1"],
        dtype="uint8",
    )
    source.set_channel_labels(["a", "b"])[1, 0] = 7
    np.testing.assert_array_equal(source[1, 0], [7] * 4)
    assert source[...].sum() == 28


def test_what_viewers_are_told_follows(cells):
    shown = {
        "channels": [{"label": "DAPI", "color": "0000FF"}, {"label": "GFP", "color": "00FF00"}]
    }
    config = RelabelChannelsArrayConfig(source_array_config=cells.config, channels=("a", "b"))
    spec = config.derive(cells.spec.replace(attrs={"omero": shown, "sample": 3}))
    assert spec.attrs["sample"] == 3
    assert spec.attrs["omero"]["channels"] == [
        {"label": "a", "color": "0000FF"},
        {"label": "b", "color": "00FF00"},
    ]
    assert shown["channels"][0]["label"] == "DAPI"


@pytest.mark.parametrize("labels", [["a"], ["a", "b", "c"]])
def test_labels_that_do_not_fit(cells, labels):
    with pytest.raises(SpecError, match="do not fit"):
        cells.set_channel_labels(labels)
    with pytest.raises(SpecError, match="do not fit"):
        from_numpy(np.zeros((2, 2))).set_channel_labels(labels)


@pytest.mark.parametrize("labels", ["ab", ["a", "a"]])
def test_labels_that_are_none(cells, labels):
    with pytest.raises(ConfigError, match="channels"):
        cells.set_channel_labels(labels)
