import threading
import time

import numpy as np
import pytest

from dacapo_like.kernels._threads import slabs, spread


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_every_item_is_taken_once(count):
    found = []
    spread(found.append, range(count))
    assert sorted(found) == list(range(count))


def test_no_thread_is_left():
    before = threading.active_count()
    spread(lambda _: time.sleep(0.001), range(20))
    assert threading.active_count() == before


def test_a_thread_does_its_work_alone():
    workers = set()

    def run():
        spread(lambda _: workers.add(threading.get_ident()), range(50))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert len(workers) == 1


def test_an_error_is_raised():
    def fail(item):
        if item == 7:
            raise ValueError("the seventh")

    with pytest.raises(ValueError, match="the seventh"):
        spread(fail, range(20))


@pytest.mark.parametrize("shape", [(), (7,), (5, 10), (1, 40), (40, 1), (3, 4, 5)])
@pytest.mark.parametrize("voxels", [1, 8, 20, 1000])
def test_slabs_make_up_the_array(shape, voxels):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    parts = [array[slab] for slab in slabs(array, voxels)]
    if len(parts) == 1:
        np.testing.assert_array_equal(parts[0], array)
    else:
        np.testing.assert_array_equal(np.concatenate(parts), array)
        assert max(part.size for part in parts) <= max(voxels, array[0].size)
