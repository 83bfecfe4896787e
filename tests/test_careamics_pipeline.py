"""CAREamics' own pipeline, fed by our arrays: its dataset, its DataLoader, its training and its prediction.

It needs torch and all that CAREamics brings, gigabytes of it, and so runs where they are installed: ``pip install careamics`` beside
this package.
"""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np
import pytest

if importlib.util.find_spec("careamics") is None:
    pytest.skip(
        "NOT RUN IN CAREAMICS' OWN PIPELINE, which is not installed: `pip install careamics` (with torch, about 5 GB)",
        allow_module_level=True,
    )

from dacapo_like.careamics import CareamicsImageStack, load_image_stacks
from dacapo_like.testing import as_zarr, sample_voxels

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own
    from careamics import CAREamist
    from careamics.config.factories import create_advanced_n2v_config, create_data_configuration
    from careamics.dataset.factory import ImageStackLoading, create_dataset
    from torch.utils.data import DataLoader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of lightning, torch and CAREamics
]

LOADING = ImageStackLoading(load_image_stacks)
SHAPE = (3, 2, 40, 48)
TILES = {"name": "tiled", "patch_size": [16, 16], "overlaps": [4, 4]}


def settings(data_type, **changes):
    config = create_data_configuration(
        data_type=data_type,
        axes="TCYX",
        patch_size=[16, 16],
        batch_size=4,
        normalization={"name": "none"},
        num_workers=0,
        in_memory=True,
    )
    return config.convert_mode("predicting", **changes)


@pytest.fixture
def array(tmp_path):
    """Give a composition whose voxels are computed when they are read."""
    voxels = sample_voxels(SHAPE, "uint16")
    stored = as_zarr(voxels, tmp_path / "raw.zarr", axes="tcyx", voxel_size=(2, 2), units="um")
    return stored.intensities(min=0, max=2**16 - 1)


@pytest.mark.parametrize("workers", [0, 2])
def test_its_dataset_gives_the_patches_that_it_makes_of_the_voxels_in_memory(array, workers):
    size = {"new_patch_size": [16, 16], "overlap_size": [4, 4]}
    theirs = create_dataset(settings("array", **size), [array[...]], None)
    ours = create_dataset(settings("custom", **size), [array], None, LOADING)
    assert isinstance(ours.patch_constructor.input_extractor.image_stacks[0], CareamicsImageStack)
    assert len(ours) == len(theirs) > 3 * 4
    loaded = DataLoader(ours, batch_size=4, num_workers=workers)
    for (mine,), (other,) in zip(loaded, DataLoader(theirs, batch_size=4), strict=True):
        np.testing.assert_array_equal(mine.data, other.data)
        assert mine.data.dtype == other.data.dtype
        for name in ("sample_idx", "stitch_coords"):
            np.testing.assert_array_equal(mine.region_spec[name], other.region_spec[name])


def test_it_trains_on_an_array_and_predicts_what_it_predicts_of_the_voxels(array, tmp_path):
    config = create_advanced_n2v_config(
        experiment_name="ours",
        data_type="custom",
        axes="TCYX",
        patch_size=[32, 32],
        batch_size=4,
        n_channels=2,
        num_epochs=1,
        num_steps=2,
        in_memory=True,
        num_workers=0,
        n_val_patches=2,
        model_params={"num_channels_init": 8, "depth": 2},
        seed=1,
    )
    careamist = CAREamist(config, work_dir=tmp_path)
    careamist.train(train_data=[array], loading=LOADING)
    options = {"tile_size": (32, 32), "tile_overlap": (8, 8), "batch_size": 4}
    ours, _ = careamist.predict(
        [array], data_type="custom", loading=LOADING, in_memory=True, **options
    )
    theirs, _ = careamist.predict([array[...]], data_type="array", **options)
    assert np.asarray(ours[0]).size == np.prod(SHAPE)
    np.testing.assert_array_equal(ours[0], theirs[0])
