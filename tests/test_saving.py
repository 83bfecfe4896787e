"""Arrays are written by method."""

from __future__ import annotations

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr

import dacapo_like
from dacapo_like import ZarrArrayConfig, dump, from_numpy, open_array
from dacapo_like.errors import ConfigError

IMARIS = "DataSet/ResolutionLevel 0/TimePoint 0/Channel 0/Data"
METHODS = {
    "to_ome_zarr": ("a.zarr", lambda path: zarr.open_array(path / "0", mode="r")[...]),
    "to_nifti": ("a.nii.gz", lambda path: np.asanyarray(nibabel.load(path).dataobj).T),
    "to_tiff": ("a.ome.tif", tifffile.imread),
    "to_hdf5": ("a.h5", lambda path: h5py.File(path)["data"][...]),
    "to_imaris": ("a.ims", lambda path: h5py.File(path)[IMARIS][:4, :8, :8]),
    "to_npy": ("a.npy", np.load),
}


@pytest.mark.parametrize("method", METHODS)
def test_a_method_writes_its_format(tmp_path, method):
    name, read = METHODS[method]
    data = np.random.default_rng(0).integers(0, 9, (4, 8, 8), "uint8")
    array = dacapo_like.from_numpy(data)
    np.testing.assert_array_equal(read(getattr(array, method)(tmp_path / name)), data)
    with pytest.raises(OSError, match="exists already"):
        array.save(str(tmp_path / name))
    np.testing.assert_array_equal(read(array.save(tmp_path / name, overwrite=True)), data)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_writes_no_other_format(tmp_path, method):
    array = dacapo_like.from_numpy(np.zeros((4, 8, 8), "uint8"))
    with pytest.raises(ConfigError, match="not a file name of"):
        getattr(array, method)(tmp_path / "a.xyz")
    with pytest.raises(ConfigError, match=r"no such option.*did you mean"):
        getattr(array, method)(tmp_path / METHODS[method][0], overwrit=True)


@pytest.mark.parametrize(
    "change",
    {
        "pad": lambda a, v: a.pad((1, 1, 1), fill={"constant": v}),
        "crop_centered": lambda a, v: a.crop_centered((0, 0, 0), (3, 3, 3), fill={"constant": v}),
        "constant": lambda a, v: a.constant_like(v),
        "astype": lambda a, v: a.astype("float32", nan=v, clip=v > 0),
        "transform": lambda a, v: a.transform(like=a, fill=v, interp_order=v),
        "select_timepoints": lambda a, v: a.select_timepoints(start=v, stop=v + v),
        "timepoint": lambda a, v: ZarrArrayConfig(
            file_name=a.config.file_name, timepoint=v
        ).array(),
    }.values(),
)
def test_numbers_of_numpy_s_are_written_into_documents(tmp_path, change):
    voxels = np.arange(128, dtype="uint8").reshape(2, 4, 4, 4)
    source = from_numpy(voxels, axes="tzyx").save(tmp_path / "a.zarr")
    array = change(ZarrArrayConfig(file_name=source).array(), voxels[0, 0, 0, 1])
    document = tmp_path / "a.yaml"
    document.write_text(dump(array.config, "yaml"))
    assert open_array(document).config == array.config
    np.testing.assert_array_equal(open_array(document), array)
