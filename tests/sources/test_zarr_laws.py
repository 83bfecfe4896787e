"""The laws, on Zarr stores of every version, layout and order of axes, written by zarr-python."""

from __future__ import annotations

import numpy as np
import zarr
from numcodecs import Delta

from dacapo_like import ZarrArrayConfig
from dacapo_like.testing import ArrayContract, Case, sample_voxels


def opened(directory, voxels, *, attributes=None, fields=None, **options):
    array = zarr.create_array(directory / "a.zarr", data=voxels, **options)
    array.attrs.update(attributes or {})
    return ZarrArrayConfig(file_name=str(directory / "a.zarr"), **(fields or {})).array()


def pyramid(directory, levels, version):
    """Write a channel image whose level i is the finest's every 2^i-th voxel, translations naming centres."""
    group = zarr.create_group(directory / "a.zarr", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for i, voxels in enumerate(levels):
        group.create_array(str(i), data=voxels, chunks=(1, 4, 4))
        size = [9.8 * 2**i, 0.7 * 2**i]
        transforms = [
            {"type": "scale", "scale": [1, *size]},
            {"type": "translation", "translation": [0, size[0] / 2 - 4.9, size[1] / 2]},
        ]
        datasets.append({"path": str(i), "coordinateTransformations": transforms})
    axes = [
        {"name": "c", "type": "channel"},
        *({"name": n, "type": "space", "unit": "micrometer"} for n in "yx"),
    ]
    multiscales = [{"axes": axes, "datasets": datasets}]
    if version == "0.4":
        group.attrs["multiscales"] = [{**multiscales[0], "version": version}]
    else:
        group.attrs["ome"] = {"version": version, "multiscales": multiscales}
    return str(directory / "a.zarr")


class TestLaws(ArrayContract):
    def case_version_2(self, directory):
        voxels = sample_voxels((7, 9, 11), "uint16")
        attributes = {"resolution": [25, 9.8, 0.7], "offset": [-25, 9.8, 0]}
        return Case(
            opened(directory, voxels, chunks=(4, 4, 4), zarr_format=2, attributes=attributes),
            voxels,
        )

    def case_version_2_fortran_big_endian(self, directory):
        voxels = sample_voxels((7, 9), "int32")
        array = opened(directory, voxels.astype(">i4"), chunks=(4, 4), zarr_format=2, order="F")
        return Case(array, voxels)

    def case_version_2_that_only_zarr_python_decodes(self, directory):
        voxels = sample_voxels((40,), "int64")
        filters = [Delta(dtype="int64")]
        return Case(
            opened(
                directory,
                voxels,
                chunks=(8,),
                zarr_format=2,
                filters=filters,
                fields={"axes": ["x"]},
            ),
            voxels,
        )

    def case_version_3(self, directory):
        voxels = sample_voxels((7, 9, 11), "float32")
        return Case(opened(directory, voxels, chunks=(4, 4, 4)), voxels)

    def case_sharded(self, directory):
        voxels = sample_voxels((8, 12, 9), "uint64")
        return Case(opened(directory, voxels, chunks=(2, 4, 3), shards=(4, 12, 9)), voxels)

    def case_channels_last_selected(self, directory):
        voxels = sample_voxels((6, 7, 4), "uint8")
        fields = {"axes": list("yxc"), "channels": [3, 0, 1]}
        array = opened(directory, voxels, chunks=(4, 4, 2), fields=fields)
        return Case(array, np.moveaxis(voxels, -1, 0)[[3, 0, 1]])

    def case_nothing_stored(self, directory):
        zarr.create_array(
            directory / "a.zarr", shape=(5, 6), chunks=(2, 2), dtype="int16", fill_value=-7
        )
        array = ZarrArrayConfig(file_name=str(directory / "a.zarr")).array()
        return Case(array, np.full((5, 6), -7, "int16"))

    def case_ngff_0_4_coarse_level(self, directory):
        voxels = sample_voxels((2, 8, 12), "uint8")
        path = pyramid(directory, [voxels, voxels[:, ::2, ::2]], "0.4")
        return Case(ZarrArrayConfig(file_name=path, level=1).array(), voxels[:, ::2, ::2])

    def case_ngff_0_5_by_voxel_size(self, directory):
        voxels = sample_voxels((2, 8, 12), "bool")
        path = pyramid(directory, [voxels, voxels[:, ::2, ::2]], "0.5")
        return Case(ZarrArrayConfig(file_name=path, voxel_size=(9.8, 0.7)).array(), voxels)


def writable(directory, voxels, **options):
    fields = {"mode": "r+", **options.pop("fields", {})}
    return opened(directory, voxels, fields=fields, **options)


class TestLawsOfWhatIsWrittenTo(ArrayContract):
    def case_version_2_fortran_big_endian(self, directory):
        voxels = sample_voxels((7, 9), "int32")
        array = writable(directory, voxels.astype(">i4"), chunks=(4, 4), zarr_format=2, order="F")
        return Case(array, voxels)

    def case_through_zarr_python(self, directory):
        voxels = sample_voxels((40,), "int64")
        filters = [Delta(dtype="int64")]
        options = {"chunks": (8,), "zarr_format": 2, "filters": filters}
        return Case(writable(directory, voxels, fields={"axes": ["x"]}, **options), voxels)

    def case_sharded(self, directory):
        voxels = sample_voxels((8, 12, 9), "uint64")
        return Case(writable(directory, voxels, chunks=(2, 4, 3), shards=(4, 12, 9)), voxels)

    def case_channels_last_selected(self, directory):
        voxels = sample_voxels((6, 7, 4), "uint8")
        fields = {"axes": list("yxc"), "channels": [3, 0, 1]}
        array = writable(directory, voxels, chunks=(4, 4, 2), fields=fields)
        return Case(array, np.moveaxis(voxels, -1, 0)[[3, 0, 1]])

    def case_nothing_may_be_missing(self, directory):
        voxels = sample_voxels((9, 9), "uint8")
        fields = {"missing": "error"}
        return Case(writable(directory, voxels, chunks=(2, 2), fields=fields), voxels)

    def case_nothing_may_be_missing_through_zarr_python(self, directory):
        voxels = sample_voxels((40,), "int64")
        options = {"chunks": (8,), "zarr_format": 2, "filters": [Delta(dtype="int64")]}
        fields = {"axes": ["x"], "missing": "error"}
        return Case(writable(directory, voxels, fields=fields, **options), voxels)

    def case_snapped(self, directory):
        voxels = sample_voxels((2, 7, 9), "uint16")
        attributes = {"axis_names": ["c^", "y", "x"], "resolution": [10, 4], "offset": [-10, 4]}
        fields = {"snap_to_grid": [20, 8]}
        array = writable(directory, voxels, chunks=(1, 2, 4), attributes=attributes, fields=fields)
        return Case(array, voxels[:, 1:7, 1:9])

    def case_through_crops(self, directory):
        voxels = sample_voxels((12, 12), "float32")
        array = writable(directory, voxels, chunks=(5, 5))
        return Case(array.crop(((2, 1), (9, 10))).crop(((3, 4), (20, 3))), voxels[3:11, 4:7])

    def case_level_of_a_pyramid(self, directory):
        voxels = sample_voxels((2, 8, 12), "uint8")
        path = pyramid(directory, [voxels, voxels[:, ::2, ::2]], "0.4")
        config = ZarrArrayConfig(file_name=path, level=1, mode="a")
        return Case(config.array(), voxels[:, ::2, ::2])
