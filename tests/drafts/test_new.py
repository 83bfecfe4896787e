"""`dacapo-like new`: what it drafts says what the files say, and verifies as it is."""

from __future__ import annotations

import h5py
import nibabel
import numpy as np
import pytest
import tensorstore
import tifffile
import zarr
from click.testing import CliRunner

import dacapo_like
from dacapo_like.cli import main
from dacapo_like.config.document import read_document

VOXELS = np.arange(8 * 16 * 16).reshape(8, 16, 16)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


def store(path, name=None, *, dtype="u1", size=(40, 4, 9.8), **attributes):
    array = zarr.create_array(path, name=name, data=VOXELS.astype(dtype), chunks=(4, 8, 8))
    said = {"voxel_size": list(size), "offset": [0, 0, 0], "axes": ["z", "y", "x"], "units": "nm"}
    array.attrs.update(said | attributes if size else attributes)


def valid(path):
    return [str(problem) for problem in dacapo_like.verify(path)] == []


def test_one_array(run, tmp_path):
    store(tmp_path / "fly.zarr")
    assert "wrote fly.yaml" in run("new", "array", "fly.zarr")
    text = (tmp_path / "fly.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=schemas/array.schema.json\n")
    assert "# voxel_size: [40, 4, 9.8]\n" in text
    assert "# units: nm\n" in text
    assert "\ntype: zarr\nfile_name: fly.zarr\n" in text
    assert valid("fly.yaml")
    assert dacapo_like.open_array("fly.yaml").shape == (8, 16, 16)


def test_several_datasets_become_several_arrays(run, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("volumes/raw", "volumes/labels/ids", "raw"):
            file[name] = VOXELS
            file[name].attrs["resolution"] = (40, 4, 4)
        file["volumes/names"] = "text"
    run("new", "array", "a.h5", "--out", "b.yml")
    arrays = read_document("b.yml").data["arrays"]
    assert {array["dataset"] for array in arrays.values()} == {
        "volumes/raw",
        "volumes/labels/ids",
        "raw",
    }
    assert len(arrays) == 3
    assert valid("b.yml")


def test_what_a_file_does_not_say_is_to_be_filled_in(run, tmp_path):
    np.save(tmp_path / "a.npy", VOXELS)
    run("new", "array", "a.npy")
    text = (tmp_path / "a.yaml").read_text()
    assert "# voxel_size: [1, 1, 1]  # the file does not say: fill in\n" in text
    assert "# units: UNIT  # the file does not say: fill in, such as nm\n" in text
    assert valid("a.yaml")
    completed = text.replace("# voxel_size: [1, 1, 1]", "voxel_size: [40, 4, 4]")
    (tmp_path / "a.yaml").write_text(completed.replace("# units: UNIT", "units: nm"))
    assert valid("a.yaml")
    assert dacapo_like.open_array("a.yaml").voxel_size == (40, 4, 4)


def test_axes_are_guessed_where_nobody_says_them(run, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 8, 16, 16), "u1"))
    run("new", "array", "a.npy")
    assert "axes: [t, c, z, y, x]  # a guess" in (tmp_path / "a.yaml").read_text()
    assert valid("a.yaml")
    assert dacapo_like.open_array("a.yaml").axes == ("t", "c", "z", "y", "x")


def write_nifti(path):
    nibabel.save(nibabel.Nifti1Image(VOXELS.astype("f4").T, np.diag([0.7, 0.7, 1.2, 1])), path)


def write_tiff(path):
    tifffile.imwrite(path, VOXELS.astype("u2"), metadata={"axes": "ZYX"}, ome=True)


def write_npz(path):
    np.savez(path, raw=VOXELS, labels=VOXELS)


def write_ome_zarr(path):
    image = dacapo_like.from_numpy(VOXELS.astype("u1"), voxel_size=(40, 4, 4), units="nm")
    image.to_ome_zarr(path)
    labels = dacapo_like.from_numpy(
        VOXELS.astype("u4"), voxel_size=(40, 4, 4), units="nm", kind="labels"
    )
    labels.to_ome_zarr(path / "labels" / "cells")


def write_imaris(path):
    dacapo_like.from_numpy(VOXELS.astype("u1"), voxel_size=(2, 1, 1), units="um").to_imaris(path)


def write_czi(path):
    czi = pytest.importorskip("pylibCZIrw.czi")
    with czi.create_czi(str(path)) as file:
        for scene in range(2):
            plane = {"C": 0, "Z": 0, "T": 0}
            file.write(
                VOXELS[0, :, :, None].astype("u1"),
                plane=plane,
                scene=scene,
                location=(50 * scene, 0),
            )


def write_n5(path):
    for name in ("raw", "volumes/gt/s0"):
        tensorstore.open(
            {"driver": "n5", "kvstore": {"driver": "file", "path": f"{path}/{name}/"}},
            dtype="uint8", shape=(16, 16, 8), create=True,
        ).result()  # fmt: skip
    (path / "attributes.json").write_text('{"n5": "2.0.0"}')


FORMATS = {
    "a.nii.gz": (write_nifti, 1),
    "a.ome.tif": (write_tiff, 1),
    "a.npz": (write_npz, 2),
    "a.ome.zarr": (write_ome_zarr, 2),
    "a.ims": (write_imaris, 1),
    "a.czi": (write_czi, 2),
    "a.n5": (write_n5, 2),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats(run, tmp_path, name):
    write, count = FORMATS[name]
    write(tmp_path / name)
    run("new", "array", name)
    data = read_document("a.yaml").data
    assert len(data.get("arrays", [1])) == count
    assert valid("a.yaml")


def test_nothing_is_replaced_unless_it_is_said(run, tmp_path):
    store(tmp_path / "fly.zarr")
    (tmp_path / "fly.yaml").write_text("mine")
    assert "--overwrite" in run("new", "array", "fly.zarr", code=1)
    assert (tmp_path / "fly.yaml").read_text() == "mine"
    run("new", "array", "fly.zarr", "--overwrite")
    assert valid("fly.yaml")
    assert "has comments" in run("new", "array", "fly.zarr", "--out", "a.toml", code=1)
    assert "--overwrite" in run("new", "experiment", ".", "--out", "fly.yaml", code=1)


def test_what_is_no_container(run, tmp_path):
    (tmp_path / "a.txt").write_text("text")
    assert "not a container" in run("new", "array", "a.txt", code=1)
    assert "nothing here" in run("new", "array", "gone.nii", code=1)
    (tmp_path / "empty.zarr").mkdir()
    zarr.create_group(tmp_path / "empty.zarr", overwrite=True)
    assert "nothing here" in run("new", "array", "empty.zarr", code=1)
    assert not list(tmp_path.glob("*.yaml"))


# Tables


def test_a_table_of_crops(run, tmp_path):
    for crop in ("one", "two"):
        store(tmp_path / "data" / f"{crop}.zarr", "raw")
        store(tmp_path / "data" / f"{crop}.zarr", "gt", dtype="u4")
    (tmp_path / "data" / "crops.csv").write_text(
        "name,split,raw,gt,weight\n"
        "a,train,one.zarr/raw,one.zarr/gt,2\n"
        "b,validate,two.zarr/raw,two.zarr/gt,\n"
        ",train,one.zarr/raw,two.zarr/gt,0.5\n"
        ",,,,\n"
    )
    run("new", "experiment", "--from-csv", "data/crops.csv")
    assert valid("crops.yaml")
    experiment = dacapo_like.load("crops.yaml")
    found = [(d.name, d.split, d.weight) for d in experiment.datasets()]
    assert found == [("a", "train", 2), ("b", "validate", 1), ("one", "train", 0.5)]
    assert len(experiment.arrays) == 4
    assert experiment.datasets()[0].gt.array().kind == "labels"
    assert experiment.datasets()[2].raw == experiment.datasets()[0].raw
    sample = next(iter(experiment.patches("train").epoch(0)))
    assert sample.arrays["raw"].shape == (8, 16, 16)


def test_a_table_of_data_that_is_elsewhere(run, tmp_path):
    (tmp_path / "crops.tsv").write_text(
        "raw\traw_dataset\tmask\n/far/a.h5\tem/raw\ts3://b/m.zarr/c\n"
    )
    run("new", "experiment", "--from-csv", "crops.tsv")
    experiment = dacapo_like.load("crops.yaml")
    assert experiment.config.arrays["a_raw"].dataset == "em/raw"
    assert experiment.config.arrays["a_mask"].file_name == "s3://b/m.zarr"
    assert not experiment.config.patches


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("rwa,gt\na.zarr,b.zarr\n", ["did you mean 'raw'", "crops.csv:1"]),
        ("gt\na.zarr\n", ["no column `raw`"]),
        ("raw,split\na.zarr,trian\n", ["crops.csv:2", "did you mean 'train'"]),
        ("raw,weight\na.zarr,-1\nb.zarr,x\n", ["crops.csv:2", "crops.csv:3", "2 errors"]),
        ("raw,gt\na.txt,\n,a.zarr\n", ["crops.csv:2", "crops.csv:3", "without `raw`"]),
        ("name,raw\na,a.zarr\na,b.zarr\n", ["crops.csv:3", "two crops of one name"]),
        ("raw\na.zarr,b.zarr\n", ["crops.csv:2", "more cells than columns"]),
    ],
)
def test_every_problem_of_a_table_is_said(run, tmp_path, text, messages):
    (tmp_path / "crops.csv").write_text(text)
    said = run("new", "experiment", "--from-csv", "crops.csv", code=1)
    assert [message for message in messages if message not in said] == []
    assert not (tmp_path / "crops.yaml").exists()


def test_usage(run):
    run("new", "experiment", code=2)
    run("new", "experiment", "a", "--from-csv", "b", code=2)


# Folders


def test_a_folder_of_containers(run, tmp_path):
    folder = tmp_path / "data"
    for crop in ("crop1", "crop2", "crop3"):
        store(folder / f"{crop}.zarr", "em")
        store(folder / f"{crop}.zarr", "labels/mito", dtype="u1")
    run("new", "experiment", "data", "--out", "exp.yaml")
    assert valid("exp.yaml")
    experiment = dacapo_like.load("exp.yaml")
    found = [(d.name, d.split, sorted(d.arrays)) for d in experiment.datasets()]
    both = ["gt", "raw"]
    assert found == [
        ("crop1", "train", both),
        ("crop2", "train", both),
        ("crop3", "validate", both),
    ]
    assert {d.gt.array().kind for d in experiment.datasets()} == {"labels"}
    assert sorted(experiment.config.patches) == ["train", "validate"]


def test_containers_that_belong_together_by_name(run, tmp_path):
    for name, dtype in (
        ("a_raw", "u1"),
        ("a_gt", "u8"),
        ("a_mask", "u1"),
        ("val_b_raw", "u1"),
        ("val_b_gt", "u8"),
    ):
        store(tmp_path / "data" / f"{name}.zarr", dtype=dtype)
    run("new", "experiment", "data")
    experiment = dacapo_like.load("data.yaml")
    found = [(d.name, d.split, sorted(d.arrays)) for d in experiment.datasets()]
    assert found == [("a", "train", ["gt", "mask", "raw"]), ("val_b", "validate", ["gt", "raw"])]
    assert valid("data.yaml")


def crops_of(path):
    return {
        dataset.name: {role: config.name for role, config in dataset.arrays.items()}
        for dataset in dacapo_like.load(path).datasets()
    }


def test_a_container_of_many_crops(run, tmp_path):
    for crop in ("c1", "c2"):
        for name, dtype in (("raw", "u1"), ("labels/mito", "u8"), ("labels/er", "u8")):
            store(tmp_path / "data" / "fly.zarr", f"{crop}/{name}", dtype=dtype)
    run("new", "experiment", "data")
    assert crops_of("data.yaml") == {
        "fly_c1": {"raw": "fly_c1_raw", "gt": "fly_c1_labels_er"},
        "fly_c2": {"raw": "fly_c2_raw", "gt": "fly_c2_labels_er"},
    }


def test_a_container_for_each_role(run, tmp_path):
    for name, dtype in (("raw", "u1"), ("gt", "u8")):
        for crop in ("c1", "c2"):
            store(tmp_path / "data" / f"{name}.zarr", crop, dtype=dtype)
    run("new", "experiment", "data")
    assert crops_of("data.yaml") == {
        "c1": {"raw": "raw_c1", "gt": "gt_c1"},
        "c2": {"raw": "raw_c2", "gt": "gt_c2"},
    }


def test_no_image_is_lost_where_names_say_nothing(run, tmp_path):
    for name in ("em.zarr", "raw.zarr", "image.zarr"):
        store(tmp_path / "data" / name)
    store(tmp_path / "data" / "labels.zarr", dtype="u8")
    run("new", "experiment", "data")
    assert sorted(arrays["raw"] for arrays in crops_of("data.yaml").values()) == [
        "em",
        "image",
        "raw",
    ]


def test_a_container_that_cannot_be_opened_is_a_comment(run, tmp_path):
    store(tmp_path / "data" / "a.zarr")
    (tmp_path / "data" / "b.nii").write_text("no image")
    run("new", "experiment", "data")
    text = (tmp_path / "data.yaml").read_text()
    assert "  # b:\n" in text
    assert list(dacapo_like.load("data.yaml").arrays) == ["a"]
    assert valid("data.yaml")
    assert "no such folder" in run("new", "experiment", "gone", code=1)


def test_the_modeline_leads_to_the_schemas_that_are_there(run, tmp_path):
    store(tmp_path / "fly.zarr")
    run("schema", "--write", "schemas")
    (tmp_path / "a" / "b").mkdir(parents=True)
    said = run("new", "array", "fly.zarr", "--out", "a/b/fly.yaml")
    assert "for completion" not in said
    text = (tmp_path / "a" / "b" / "fly.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=../../schemas/array.schema.json\n")
    assert f"file_name: {tmp_path}/fly.zarr\n" in text
    assert valid("a/b/fly.yaml")
