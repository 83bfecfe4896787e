"""Where compiled loops are kept, and that they are not needed to say what is wrong."""

import os
import subprocess
import sys

import pytest

DOUBLE = (
    "from numba import types; from dacapo_like.kernels._compiling import compiled; "
    "from tiny import double; print(compiled(double, types.int64(types.int64))(21))"
)


@pytest.fixture
def environment(tmp_path):
    """Give an environment with a module to compile, and a place to keep what was compiled."""
    (tmp_path / "tiny.py").write_text("def double(x):\n    return 2 * x\n")
    kept = tmp_path / "kept"
    return os.environ | {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(kept)}, kept


def run(code, environment=None):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_loops_are_kept_on_disk(environment):
    assert run(DOUBLE, environment[0]) == "42"
    assert len(list(environment[1].rglob("tiny.double*.nbc"))) == 1


def test_a_place_that_cannot_be_written_is_done_without(environment):
    no_place = "from numba.core.caching import CacheImpl; CacheImpl._locator_classes = []; "
    assert run(no_place + DOUBLE, environment[0]) == "42"
    assert not environment[1].exists()


def test_a_disk_that_is_full_is_done_without(environment):
    full = (
        "from numba.core import caching\n"
        "def refuse(*_): raise OSError(28, 'No space left on device')\n"
        "caching.IndexDataCacheFile.save = refuse\n"
    )
    assert run(full + DOUBLE, environment[0]) == "42"
    assert not list(environment[1].rglob("*.nbc"))


def test_other_errors_of_the_compiler_are_raised():
    from numba import types

    from dacapo_like.kernels._compiling import compiled

    with pytest.raises(Exception, match="no_such_thing"):
        compiled(lambda x: x.no_such_thing, types.int64(types.int64))


def test_numba_is_imported_on_first_use():
    verified = (
        "import sys, dacapo_like; "
        "raw = {'type': 'npy', 'file_name': 'a.npy'}; "
        "dacapo_like.verify({'type': 'transform', 'source': raw, 'like': raw}); "
        "from dacapo_like import from_numpy; import numpy as np; "
        "a = from_numpy(np.zeros((4, 4))); moved = a.transform(np.eye(3), like=a, interp_order=0); "
        "assert dacapo_like.verify(moved.config) == []; "
        "print('numba' in sys.modules); moved.read(); print('numba' in sys.modules)"
    )
    assert run(verified).split() == ["False", "True"]
