import multiprocessing
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

import dacapo_like
from dacapo_like import settings
from dacapo_like.chunk_cache import (
    CACHE,
    ENTRY_BYTES,
    ChunkCache,
    Counts,
    file_state,
    fits,
    settled_state,
)

TIMEOUT = 60  # seconds: far above what anything here needs, so that only what hangs runs into it

pytestmark = pytest.mark.filterwarnings(
    r"ignore:This process \(pid=\d+\) is multi-threaded, use of fork:DeprecationWarning"
)


@pytest.fixture(autouse=True)
def as_before():
    before = settings.current()
    yield
    dacapo_like.configure(**attrs.asdict(before))
    CACHE.forget()


def chunk_of(index, size=1000):
    return np.full(size, index % 251, np.uint8)


def test_a_chunk_is_decoded_once():
    cache, decoded = ChunkCache(), []

    def decode():
        decoded.append(1)
        return chunk_of(3)

    first, second = (cache.chunk("a", 0, 3, decode) for _ in range(2))
    assert first is second
    assert len(decoded) == 1
    assert cache.counts() == {"a": Counts(1, 1, 1000, 1000 + ENTRY_BYTES)}


def test_chunks_are_read_only():
    cache = ChunkCache()
    chunk = cache.chunk("a", 0, 0, lambda: chunk_of(0))
    with pytest.raises(ValueError, match="read-only"):
        chunk[0] = 1


@pytest.mark.parametrize("other", [("b", 0, 0), ("a", 1, 0), ("a", 0, 1)])
def test_source_state_and_index_tell_chunks_apart(other):
    cache = ChunkCache()
    cache.chunk("a", 0, 0, lambda: chunk_of(1))
    assert cache.chunk(*other, lambda: chunk_of(2))[0] == 2


@pytest.mark.parametrize("whole", [np.zeros((10, 1000), np.uint8), np.zeros(1000, np.uint16)])
def test_no_more_memory_is_held_than_is_counted(whole):
    cache = ChunkCache()
    chunk = cache.chunk("a", 0, 0, lambda: whole[:1])
    assert chunk.base is None
    assert chunk.nbytes == whole[:1].nbytes


def test_bytes_that_are_all_voxels_are_not_copied():
    stored = bytes(range(200))
    chunk = ChunkCache().chunk("a", 0, 0, lambda: np.frombuffer(stored, np.uint16).reshape(10, 10))
    assert chunk.ctypes.data == np.frombuffer(stored, np.uint8).ctypes.data


def test_the_chunk_that_was_used_longest_ago_goes_first():
    cache = ChunkCache()
    with dacapo_like.using(cache_bytes=4 * (1000 + ENTRY_BYTES)):
        for index in (0, 1, 2, 3, 0, 4):
            cache.chunk("a", 0, index, lambda: chunk_of(0))
        assert cache.bytes_held == 4 * (1000 + ENTRY_BYTES)
        kept = cache.find(("a", 0, index) for index in range(5))
    assert [chunk is not None for chunk in kept] == [True, False, True, True, True]


def test_a_chunk_that_would_push_out_most_others_is_not_kept():
    cache = ChunkCache()
    with dacapo_like.using(cache_bytes=40_000):
        assert fits(10_000 - ENTRY_BYTES)
        assert not fits(10_001 - ENTRY_BYTES)
        for _ in range(2):
            assert cache.chunk("a", 0, 0, lambda: chunk_of(5, 10_000))[0] == 5
    assert cache.counts() == {"a": Counts(0, 2, 20_000, 0)}


def test_nothing_is_kept_looked_for_or_counted_where_caches_are_off():
    cache = ChunkCache()
    cache.chunk("a", 0, 0, lambda: chunk_of(1))
    before = cache.counts()
    with dacapo_like.using(cache_bytes=0):
        assert cache.chunk("a", 0, 0, lambda: chunk_of(2))[0] == 2
    assert cache.counts() == before
    assert cache.chunk("a", 0, 0, lambda: chunk_of(3))[0] == 1


def test_a_smaller_limit_holds_at_once():
    for index in range(10):
        CACHE.chunk("a", 0, index, lambda: chunk_of(0))
    dacapo_like.configure(cache_bytes=3 * (1000 + ENTRY_BYTES))
    assert CACHE.bytes_held == 3 * (1000 + ENTRY_BYTES)
    dacapo_like.configure(cache_bytes=0)
    assert CACHE.bytes_held == 0


def test_what_a_block_kept_beyond_the_limit_of_the_process_goes_with_it():
    dacapo_like.configure(cache_bytes=8 * (1000 + ENTRY_BYTES))
    with dacapo_like.using(cache_bytes="1MiB"):
        for index in range(20):
            CACHE.chunk("a", 0, index, lambda: chunk_of(0))
        assert CACHE.bytes_held == 20 * (1000 + ENTRY_BYTES)
    assert CACHE.bytes_held == 8 * (1000 + ENTRY_BYTES)


def test_a_block_without_caches_leaves_what_is_kept():
    CACHE.chunk("a", 0, 0, lambda: chunk_of(0))
    with dacapo_like.using(cache_bytes=0):
        CACHE.chunk("a", 0, 1, lambda: chunk_of(0))
    assert CACHE.bytes_held == 1000 + ENTRY_BYTES


def test_one_source_or_all_are_forgotten():
    cache = ChunkCache()
    for source in "ab":
        cache.chunk(source, 0, 0, lambda: chunk_of(0))
    cache.forget("a")
    assert list(cache.counts()) == ["b"]
    cache.forget()
    assert cache.counts() == {}
    assert cache.bytes_held == 0


@examples(deadline=None)
@given(
    st.integers(0, 30_000),
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 6), st.integers(0, 9_000)), max_size=60
    ),
)
def test_the_limit_is_kept_whatever_is_asked_for(limit, asked):
    cache, expected = ChunkCache(), {}
    with dacapo_like.using(cache_bytes=limit):
        for source, index, size in asked:
            key = (source, index)
            same = expected.setdefault(key, chunk_of(len(expected), size))
            chunk = cache.chunk(source, 0, index, same.copy)
            np.testing.assert_array_equal(chunk, same)
            assert cache.bytes_held <= limit
            counts = cache.counts().values()
            assert sum(each.bytes_held for each in counts) == cache.bytes_held


def test_a_failure_is_that_of_its_reader_and_nothing_is_kept():
    cache = ChunkCache()

    def fail():
        raise OSError("broken")

    for _ in range(2):
        with pytest.raises(OSError, match="broken"):
            cache.chunk("a", 0, 0, fail)
    assert cache.chunk("a", 0, 0, lambda: chunk_of(7))[0] == 7


def test_threads_that_want_one_chunk_have_it_decoded_once():
    cache, decoded, begun, go = ChunkCache(), [], threading.Event(), threading.Event()

    def decode():
        decoded.append(1)
        begun.set()
        assert go.wait(TIMEOUT)
        return chunk_of(1)

    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(cache.chunk, "a", 0, 0, decode)
        assert begun.wait(TIMEOUT)
        others = [threads.submit(cache.chunk, "a", 0, 0, decode) for _ in range(7)]
        go.set()
        assert all(other.result(TIMEOUT) is first.result() for other in others)
    assert len(decoded) == 1
    assert cache.counts()["a"][:2] == (7, 1)


def test_threads_behind_one_that_fails_try_for_themselves():
    cache, begun, go = ChunkCache(), threading.Event(), threading.Event()

    def fail():
        begun.set()
        assert go.wait(TIMEOUT)
        raise OSError("broken")

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cache.chunk, "a", 0, 0, fail)
        assert begun.wait(TIMEOUT)
        second = threads.submit(cache.chunk, "a", 0, 0, lambda: chunk_of(9))
        go.set()
        with pytest.raises(OSError, match="broken"):
            first.result(TIMEOUT)
        assert second.result(TIMEOUT)[0] == 9


def test_threads_with_hardly_any_room():
    """Chunks come and go all the time; everybody gets those asked for, and the limit holds."""
    dacapo_like.configure(cache_bytes=8 * (1000 + ENTRY_BYTES))
    cache = ChunkCache()

    def work(seed):
        order, most = random.Random(seed), 0
        for _ in range(1000):
            index = order.randrange(24)
            chunk = cache.chunk("a", 0, index, lambda: chunk_of(index))  # noqa: B023  # called at once
            assert (chunk == index).all()
            most = max(most, cache.bytes_held)
        return most

    with ThreadPoolExecutor(8) as threads:
        assert max(threads.map(work, range(8))) <= 8 * (1000 + ENTRY_BYTES)
    counts = cache.counts()["a"]
    assert counts.hits + counts.misses == 8000
    assert counts.bytes_held == cache.bytes_held


def in_forked_child(job):
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(job()))
    child.start()
    sender.close()
    child.join(TIMEOUT)
    if child.is_alive():
        child.kill()
        pytest.fail("the child hangs")
    assert child.exitcode == 0
    return receiver.recv()


def test_a_forked_child_goes_on_with_chunks_of_its_own():
    CACHE.chunk("a", 0, 0, lambda: chunk_of(1))

    def job():
        kept = CACHE.chunk("a", 0, 0, lambda: chunk_of(2))[0]
        CACHE.chunk("a", 0, 1, lambda: chunk_of(3))
        return int(kept), CACHE.counts()["a"][:2]

    assert in_forked_child(job) == (1, (1, 2))
    assert CACHE.counts()["a"][:2] == (0, 1)


def test_a_child_does_not_wait_for_what_a_thread_of_its_parent_decodes():
    begun, go = threading.Event(), threading.Event()

    def decode():
        begun.set()
        assert go.wait(TIMEOUT)
        return chunk_of(1)

    with ThreadPoolExecutor(1) as threads:
        mine = threads.submit(CACHE.chunk, "a", 0, 0, decode)
        assert begun.wait(TIMEOUT)
        try:
            child = in_forked_child(lambda: int(CACHE.chunk("a", 0, 0, lambda: chunk_of(2))[0]))
        finally:
            go.set()
        assert child == 2
        assert mine.result(TIMEOUT)[0] == 1


def test_forks_while_threads_are_busy():
    """A lock that is held when a process forks is never released in the child."""
    stop = threading.Event()

    def work():
        while not stop.is_set():
            for index in range(50):
                CACHE.chunk("a", 0, index, lambda: chunk_of(0))
            CACHE.forget()

    with ThreadPoolExecutor(2) as threads:
        jobs = [threads.submit(work) for _ in range(2)]
        try:
            for _ in range(10):
                assert in_forked_child(lambda: CACHE.chunk("b", 0, 0, lambda: chunk_of(4))[0]) == 4
        finally:
            stop.set()
        for job in jobs:
            job.result(TIMEOUT)


def test_the_state_of_a_file_tells_its_contents_apart(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = file_state(str(path))
    assert file_state(str(path)) == first
    found = path.stat()
    times = (
        found.st_mtime_ns,
        found.st_ctime_ns,
    )  # the second tells whether the first was set back
    assert first == (found.st_dev, found.st_ino, found.st_size, *times)
    os.utime(path, ns=(0, 0))
    assert file_state(str(path)) != first
    second = file_state(str(path))
    other = tmp_path / "b"
    other.write_bytes(b"two")
    os.utime(other, ns=(0, 0))
    other.replace(path)
    assert file_state(str(path)) != second


def test_a_file_that_was_written_just_now_has_no_state_to_keep_by(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    now = time.time_ns()
    os.utime(path, ns=(now + 10**12, now + 10**12))  # clocks differ: it will be settled
    assert settled_state(str(path)) == file_state(str(path))
    ahead = time.time_ns() + 5 * 10**7  # within the time in which another write may look the same
    os.utime(path, ns=(ahead, ahead))
    assert settled_state(str(path)) is None
    os.utime(path, ns=(now - 10**9, now - 10**9))
    assert settled_state(str(path)) == file_state(str(path))
    path.unlink()
    assert settled_state(str(path)) is None
