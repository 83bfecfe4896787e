"""When the compiler is loaded."""

import subprocess
import sys

import pytest


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


MARK = (
    "from dacapo_like.kernels.labels import group_masks; "
    "f = lambda n: group_masks(np.arange(n, dtype='u4') % 7, [[1, 5], []], background=0); "
)
SCALE = (
    "from dacapo_like.kernels.scaling import scale; "
    "f = lambda n: scale(np.arange(n, dtype='u2'), np.float32(3), np.float32(7)); "
)


@pytest.mark.parametrize(("kernel", "large"), [(MARK, 2**18), (SCALE, 2**25 + 2**20)])
def test_few_voxels_do_not_wait_for_the_compiler(kernel, large):
    code = (
        f"import sys, numpy as np; {kernel}"
        "known = lambda: print('numba' in sys.modules); "
        f"few = f(1000); known(); many = f({large}); known(); "
        "print((few == many[..., :1000]).all(), (few == f(1000)).all())"
    )
    assert run(code) == ["False", "True", "True", "True"]


def test_many_small_calls_load_it_in_the_end():
    code = (
        f"import sys, numpy as np; {MARK}"
        "calls = next(i for i in range(10**4) if 'numba' in sys.modules or f(1000) is None); "
        "print(10 < calls < 10**4 - 1)"
    )
    assert run(code) == ["True"]
