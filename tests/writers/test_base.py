"""What every writer does when it is stopped at the last moment."""

from __future__ import annotations

import numpy as np
import pytest

from dacapo_like.spec import from_shape
from dacapo_like.writers.hdf5 import HDF5Writer
from dacapo_like.writers.nifti import NiftiWriter
from dacapo_like.writers.npy import NpyWriter
from dacapo_like.writers.ome_zarr import OmeZarrWriter
from dacapo_like.writers.tiff import TiffWriter

WRITERS = {
    "a.h5": HDF5Writer,
    "a.nii": NiftiWriter,
    "a.npy": NpyWriter,
    "a.zarr": OmeZarrWriter,
    "a.zarr.zip": OmeZarrWriter,
    "a.ome.tif": TiffWriter,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("as_context", [True, False])
@pytest.mark.filterwarnings("ignore::dacapo_like.errors.DataWarning")  # npy keeps voxels only
def test_an_interrupt_while_it_commits_leaves_nothing_behind(tmp_path, name, as_context):
    class Interrupted(WRITERS[name]):
        def _close(self, *, complete):
            super()._close(complete=complete)
            if complete:
                raise KeyboardInterrupt

    spec = from_shape((4, 8, 8), "uint8", voxel_size=(2, 1, 1))

    def write_all():
        writer = Interrupted(tmp_path / name, spec)
        for box in writer.boxes():
            writer.write(box, np.ones(box.shape, spec.dtype))
        if as_context:
            writer.__exit__(None, None, None)
        else:
            writer.commit()

    with pytest.raises(KeyboardInterrupt):
        write_all()
    assert list(tmp_path.iterdir()) == []
