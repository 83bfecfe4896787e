"""Threads and processes that read one composed tree at random: numpy's voxels, no handle left open, memory that stays as it is.

The page on limits has the figures of 64 threads of 10,000 reads; ``python -m benchmarks.endurance`` makes them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import dacapo_like
from dacapo_like import open_array

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))  # `benchmarks` is not installed

from benchmarks import endurance  # noqa: E402  # behind the above

pytestmark = [
    pytest.mark.slow,  # the module takes over ten seconds
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks at itself as Linux shows"),
    pytest.mark.filterwarnings(r"ignore:This process \(pid=\d+\) is multi-threaded, use of fork"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("endurance")
    endurance.write(folder)
    return folder


@pytest.fixture(autouse=True)
def small_cache():
    before = dacapo_like.settings.current().cache_bytes
    dacapo_like.configure(cache_bytes=endurance.CACHE_BYTES)
    yield
    dacapo_like.configure(cache_bytes=before)


def test_the_tree_is_what_numpy_says(folder):
    array = open_array(endurance.document(folder))
    assert array.channels == ("image", "labels", "volume")
    np.testing.assert_allclose(array.read(), endurance.expected(), rtol=1e-6)


def test_threads(folder):
    endurance.run(folder, 4, 10)
    report = endurance.run(folder, 32, 30)
    assert report.reads == 960
    assert not report.wrong
    before, most = report.handles
    assert most < before + 40  # those that are being read besides
    assert report.growth < 0.2  # of a run that is too short to be flat


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(folder, method):
    for report in endurance.run_in_processes(folder, method, processes=2, threads=4, reads=30):
        assert report.reads == 120
        assert not report.wrong
        assert report.handles[1] < report.handles[0] + 20


def test_what_is_wrong_is_found(folder, monkeypatch):
    right = endurance.expected()
    right[0, 3] += 1
    monkeypatch.setattr(endurance, "expected", lambda: right)
    report = endurance.run(folder, 2, 100)
    assert 0 < len(report.wrong) < 200


def test_handles_are_counted():
    before = endurance.handles()
    with Path(os.devnull).open("rb"):
        assert endurance.handles() == before + 1
