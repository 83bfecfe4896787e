"""What `import dacapo_like` gives, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dacapo_like
from dacapo_like.registry import array_types


def test_every_config_class_is_public():
    for config in array_types().values():
        assert getattr(dacapo_like, config.__name__) is config
        assert config.__name__ in dacapo_like.__all__


def test_everything_in_all_is_there():
    assert all(hasattr(dacapo_like, name) for name in dacapo_like.__all__)


def test_import_loads_no_heavy_package():
    heavy = [
        "cattrs",
        "yaml",
        "zarr",
        "tensorstore",
        "numba",
        "dask",
        "scipy",
        "h5py",
        "nibabel",
        "tifffile",
        "requests",
        "rich",
        "click",
    ]
    code = f"import sys, dacapo_like; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_a_read_builds_no_dask_graph():
    code = (
        "import sys, numpy as np, dacapo_like\n"
        "array = dacapo_like.from_numpy(np.zeros((8, 8, 8), 'uint8')).intensities(min=0, max=1).downsample((2, 2, 2))\n"
        "array.read(); print('dask' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        dacapo_like.lode  # noqa: B018  # the access is the test
    assert {"load", "verify", "CropArrayConfig"} <= set(dir(dacapo_like))
