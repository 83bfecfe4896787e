"""Make the small volumes that the example documents read.

The MRI is real: it ships inside nibabel's wheel. Classes of its intensities, and the electron-microscopy-like volume with its instance
labels, are computed here, the same on every machine. Run as ``python configs/make_data.py``; the files land in ``configs/data``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import nibabel
import numpy as np
import zarr
from scipy import ndimage

MRI = Path(nibabel.__file__).parent / "tests" / "data"
TISSUE_THRESHOLDS = (120, 440, 530)  # of the smoothed intensities
EM_VOXEL_SIZE = (25, 9.8, 9.8)
EM_SHAPE = (48, 96, 96)


def copy_mri(folder: Path) -> None:
    """Copy nibabel's two scans and classify the voxels of the larger one."""
    for name in ("example4d.nii.gz", "anatomical.nii"):
        shutil.copyfile(MRI / name, folder / name)
    scan = nibabel.load(folder / "example4d.nii.gz")
    smooth = ndimage.gaussian_filter(np.asarray(scan.dataobj, dtype=np.float32), sigma=(1, 1, 1, 0))
    tissue = np.digitize(smooth, TISSUE_THRESHOLDS).astype(np.uint8)
    labels = nibabel.Nifti1Image(tissue, scan.affine)
    labels.header.set_xyzt_units(*scan.header.get_xyzt_units())
    nibabel.save(labels, folder / "tissue.nii.gz")


def em_like() -> tuple[np.ndarray, np.ndarray]:
    """Make a grey volume and the instances in it, axes z y x."""
    noise = np.random.default_rng(7).standard_normal(EM_SHAPE)
    smooth = ndimage.gaussian_filter(noise, 3)
    instances, _ = ndimage.label(smooth > smooth.std() / 2)
    scaled = (smooth - smooth.min()) / np.ptp(smooth)
    grain = np.clip(0.1 * noise, -0.3, 0.3)
    return (np.clip(scaled + grain, 0, 1) * 255).astype(np.uint8), instances.astype(np.uint64)


def write_em(folder: Path) -> None:
    """Write the volume as Zarr, as OME-Zarr with two levels, and its instances as HDF5 in the way of CREMI."""
    grey, instances = em_like()
    grid = {
        "voxel_size": EM_VOXEL_SIZE,
        "offset": (0, 0, 0),
        "axes": ["z", "y", "x"],
        "units": ["nm"] * 3,
    }
    plain = zarr.create_array(
        folder / "em.zarr",
        name="raw",
        data=grey,
        chunks=(16, 32, 32),
        overwrite=True,
        zarr_format=2,
    )
    plain.attrs.update(grid)
    labels = zarr.create_array(
        folder / "em.zarr",
        name="labels",
        data=instances,
        chunks=(16, 32, 32),
        overwrite=True,
        zarr_format=2,
    )
    labels.attrs.update(grid, labels=[annotation(value) for value in range(1, 9)])
    write_pyramid(folder / "em.ome.zarr", grey)
    with h5py.File(folder / "em.h5", "w") as file:
        labels = file.create_dataset(
            "volumes/labels/neuron_ids", data=instances, chunks=(16, 32, 32), compression="gzip"
        )
        labels.attrs["resolution"] = EM_VOXEL_SIZE
        labels.attrs["offset"] = (0.0, 0.0, 0.0)
        labels.attrs["units"] = ["nm"] * 3


def annotation(value: int) -> dict[str, object]:
    """Say what an annotator did about a label, as CellMap's crops say it: number 6 was seen, and left out."""
    done = "empty" if value == 6 else "dense"
    state = {"present": True, "annotated": done}
    return {"value": value, "name": {"short": f"object {value}"}, "annotationState": state}


def write_pyramid(path: Path, grey: np.ndarray) -> None:
    """Write two levels with OME-NGFF 0.5 metadata, translations naming voxel centres."""
    fine, coarse = np.array(EM_VOXEL_SIZE), np.array(EM_VOXEL_SIZE) * (1, 2, 2)
    half = (
        grey.reshape(EM_SHAPE[0], EM_SHAPE[1] // 2, 2, EM_SHAPE[2] // 2, 2)
        .mean((2, 4))
        .astype(np.uint8)
    )
    group = zarr.create_group(path, overwrite=True)
    datasets = []
    for level, (data, size) in enumerate(((grey, fine), (half, coarse))):
        group.create_array(
            f"s{level}", data=data, chunks=(16, 32, 32), dimension_names=("z", "y", "x")
        )
        transforms = [
            {"type": "scale", "scale": size.tolist()},
            {"type": "translation", "translation": (size / 2).tolist()},
        ]
        datasets.append({"path": f"s{level}", "coordinateTransformations": transforms})
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"name": "em", "axes": axes, "datasets": datasets}],
    }


def main(folder: Path = Path(__file__).parent / "data") -> None:
    """Make everything."""
    folder.mkdir(exist_ok=True)
    copy_mri(folder)
    write_em(folder)
    print(f"made {', '.join(sorted(path.name for path in folder.iterdir()))} in {folder}")


if __name__ == "__main__":
    main()
