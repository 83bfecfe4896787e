"""The same on workers, whoever starts them, and whoever is killed."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dacapo_like
from dacapo_like.errors import SourceError
from dacapo_like.materialize import materialize
from dacapo_like.materialize.cluster import do_block

pytest.importorskip("distributed")
HERE = Path(__file__).parent


def test_a_worker_that_does_not_see_the_run_says_so(tmp_path):
    with pytest.raises(SourceError, match="does not find the run") as caught:
        do_block(str(tmp_path), "key", 0, 0)
    assert pickle.loads(pickle.dumps(caught.value)).hint == caught.value.hint


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of dask about itself
def test_workers_write_what_threads_write(tmp_path):
    voxels = np.random.default_rng(0).integers(0, 255, (40, 36, 33), "uint8")
    dacapo_like.from_numpy(voxels).to_ome_zarr(tmp_path / "in.zarr", levels=1)
    array = dacapo_like.open_array({"type": "zarr", "file_name": str(tmp_path / "in.zarr")})
    calls = []
    for name, more in (("here", {}), ("there", {"workers": 1})):
        materialize(
            array,
            tmp_path / name / "out.zarr",
            chunks=(8, 8, 8),
            levels=3,
            progress=lambda *counts: calls.append(counts),
            **more,
        )
    assert calls[-1][0] == calls[-1][1]
    files = [
        {
            f.relative_to(tmp_path / name): f.read_bytes()
            for f in (tmp_path / name).rglob("*")
            if f.is_file()
        }
        for name in ("here", "there")
    ]
    assert files[0] == files[1]


@pytest.mark.slow
@pytest.mark.parametrize(("targets", "kills"), [("alone", 2), ("scheduler,worker", 2)])
def test_killed_anywhere_it_goes_on_to_the_same_bytes(tmp_path, targets, kills):
    done = subprocess.run(
        [sys.executable, HERE / "kill.py", tmp_path, "64", str(kills), "1", "0.2", targets],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sum(found[target] for target in targets.split(",")) == kills
    assert found["finished"] >= 1
