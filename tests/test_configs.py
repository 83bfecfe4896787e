"""Every example document is valid, opens, and gives the voxels that its comments promise."""

from __future__ import annotations

from pathlib import Path

import h5py
import jsonschema
import nibabel
import numpy as np
import pytest
import zarr

import dacapo_like
from dacapo_like.config.document import read_document
from dacapo_like.config.schema import schema_of

DOCUMENTS = sorted(
    path.name
    for path in (Path(__file__).parent.parent / "configs").iterdir()
    if path.suffix in {".yaml", ".toml", ".json"}
)


def test_there_are_at_least_six_documents_in_yaml_and_toml():
    assert len(DOCUMENTS) >= 6
    assert {".yaml", ".toml"} <= {Path(name).suffix for name in DOCUMENTS}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_is_valid_to_the_voxel(configs, name):
    assert dacapo_like.verify(configs / name, deep=True) == []


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("draft", ["2020-12", "draft-07"])
def test_schema_accepts_the_document(configs, name, draft):
    data = read_document(configs / name).data
    schema = schema_of("array" if "type" in data else "experiment", draft)
    jsonschema.validators.validator_for(schema)(schema).validate(data)


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("form", ["yaml", "toml", "json"])
def test_document_survives_being_written_in_every_format(configs, tmp_path, name, form):
    loaded = dacapo_like.load(configs / name)
    config = getattr(loaded, "config", loaded)
    again = tmp_path / f"again.{form}"
    again.write_text(dacapo_like.dump(config, form))
    assert dacapo_like.load(again) == loaded


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_array_reads_at_its_corners(configs, name):
    loaded = dacapo_like.load(configs / name)
    arrays = (
        dict(loaded.arrays) if isinstance(loaded, dacapo_like.Experiment) else {"": loaded.array()}
    )
    for array in arrays.values():
        whole = array.read()
        assert whole.shape == array.shape
        for corner in (0, -1):
            index = (corner,) * array.ndim
            assert array[index] == whole[index]


def test_quickstart_composes_scan_and_tissue(configs):
    scan = np.asarray(nibabel.load(configs / "data/example4d.nii.gz").dataobj).T.astype(np.float64)
    tissue = np.asarray(nibabel.load(configs / "data/tissue.nii.gz").dataobj).T
    composed = dacapo_like.open_array(configs / "quickstart.yaml", "composed")
    assert composed.axes == ("c", "t", "z", "y", "x")
    assert composed.channels == (
        "scan",
        "tissue.dark",
        "tissue.middle",
        "tissue.bright",
        "tissue.head",
    )
    raw = dacapo_like.open_array(configs / "quickstart.yaml", "raw")
    start = [
        round((a - b) / s)
        for a, b, s in zip(composed.spec.offset, raw.spec.offset, raw.spec.voxel_size, strict=True)
    ]
    t, (z, y, x) = composed.shape[1], composed.shape[2:]
    cut = (
        slice(None),
        slice(start[0], start[0] + z),
        slice(start[1], start[1] + 2 * y),
        slice(start[2], start[2] + 2 * x),
    )
    cells = scan[cut].reshape(t, z, y, 2, x, 2).transpose(0, 1, 2, 4, 3, 5).reshape(t, z, y, x, 4)
    np.testing.assert_allclose(composed[0], np.round(cells.mean(-1)) / 1000, rtol=1e-6)
    labels = (
        tissue[cut].reshape(t, z, y, 2, x, 2).transpose(0, 1, 2, 4, 3, 5).reshape(t, z, y, x, 4)
    )
    counts = np.stack([(labels == label).sum(-1) for label in range(4)])
    mode = counts.argmax(0)
    np.testing.assert_array_equal(composed[1:4], [mode == 1, mode == 2, mode == 3])
    np.testing.assert_array_equal(composed[4], mode > 0)


def test_em_training_is_exact_in_nanometres(configs):
    experiment = dacapo_like.load(configs / "em_training.yaml")
    raw = experiment.arrays["raw"]
    assert [str(size) for size in raw.voxel_size] == ["25", "49/5", "49/5"]
    voxels = np.asarray(zarr.open_array(configs / "data/em.zarr/raw")).astype(np.float32)
    np.testing.assert_allclose(raw.read(), voxels / 255, rtol=1e-6)
    with h5py.File(configs / "data/em.h5") as file:
        neurons = file["volumes/labels/neuron_ids"][()]
    np.testing.assert_array_equal(experiment.arrays["foreground"].read()[0], neurons != 0)
    assert experiment.arrays["left_half"].shape == (48, 96, 48)
    assert [dataset.name for dataset in experiment.datasets(split="validate")] == ["left"]


def test_channels_without_a_source_take_the_default(configs):
    stack = dacapo_like.open_array(configs / "channels.toml", "stack")
    assert stack.channels == ("em", "mito", "membrane")
    assert np.unique(stack[1:]).tolist() == [128]


def test_pyramid_levels_align_with_labels(configs):
    pair = dacapo_like.open_array(configs / "pyramid_level.yaml", "pair")
    half = zarr.open_array(configs / "data/em.ome.zarr/s1")
    np.testing.assert_array_equal(pair[0], np.asarray(half))
    assert pair.roi == dacapo_like.Roi((0, 0, 0), (1200, 940.8, 940.8))


def test_annotations_say_what_can_be_trusted(configs):
    arrays = dacapo_like.load(configs / "annotations.yaml").arrays
    labels = np.asarray(zarr.open_array(configs / "data/em.zarr/labels"))
    known = labels != 0
    np.testing.assert_array_equal(arrays["mask"].read(), [known, 0 * known, 0 * known])
    np.testing.assert_array_equal(arrays["object"].read(), known)
    np.testing.assert_array_equal(arrays["merged"].read(), np.where(known, labels + 2**32, 0))
    raw = np.asarray(zarr.open_array(configs / "data/em.zarr/raw"))
    np.testing.assert_array_equal(arrays["brighter"].read(), raw.astype(int) + 100)
