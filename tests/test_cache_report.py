import subprocess
import sys

import attrs
import numpy as np
import pytest
import zarr

import dacapo_like
from dacapo_like import settings, tensorstores
from dacapo_like.cache_report import CacheStatistics, SourceStatistics, TensorStoreStatistics
from dacapo_like.chunk_cache import CACHE, ENTRY_BYTES


@pytest.fixture(autouse=True)
def as_before():
    before = settings.current()
    CACHE.forget()
    yield
    dacapo_like.configure(**attrs.asdict(before))
    CACHE.forget()


def test_sources_add_up_to_the_total():
    for source, index in [("b", 0), ("b", 1), ("a", 0), ("b", 0)]:
        CACHE.chunk(source, None, index, lambda: np.zeros(100, "uint8"))
    found = dacapo_like.cache_statistics()
    held = 100 + ENTRY_BYTES
    assert (found.hits, found.misses, found.bytes_decoded, found.bytes_held) == (
        1,
        3,
        300,
        3 * held,
    )
    assert list(found.sources) == ["a", "b"]
    assert found.sources["a"] == SourceStatistics(0, 1, 100, held)
    assert found.sources["b"] == SourceStatistics(1, 2, 200, 2 * held)


def test_what_is_let_go_is_not_held():
    CACHE.chunk("a", None, 0, lambda: np.zeros(100, "uint8"))
    dacapo_like.configure(cache_bytes=0)
    found = dacapo_like.cache_statistics()
    assert found.bytes_held == found.sources["a"].bytes_held == found.cache_bytes == 0
    assert found.misses == 1


def test_people_can_read_it():
    statistics = CacheStatistics(
        hits=3,
        misses=1,
        bytes_decoded=2**20,
        bytes_held=1500,
        cache_bytes=2**28,
        sources={"a.h5/raw": SourceStatistics(3, 1, 2**20, 1500), "b.tif": SourceStatistics()},
        tensorstore=TensorStoreStatistics(5, 7, 2),
    )
    assert repr(statistics).splitlines() == [
        "3 of 4 chunks were there (75 %), 1.0 MiB decoded, 1.5 KiB held of at most 256.0 MiB",
        "  a.h5/raw: 3 of 4 chunks were there (75 %), 1.0 MiB decoded, 1.5 KiB held",
        "  b.tif: 0 of 0 chunks were there, 0 B decoded, 0 B held",
        "TensorStore: 5 of 12 were there, 2 let go",
    ]


def test_tensorstore_counts_too(tmp_path):
    zarr.create_array(tmp_path / "a", shape=(8,), chunks=(4,), dtype="uint8")[...] = 1
    array = tensorstores.open_zarr(tmp_path / "a", 3)
    array.read().result()
    before = dacapo_like.cache_statistics().tensorstore
    array.read().result()
    after = dacapo_like.cache_statistics().tensorstore
    assert after.hits >= before.hits + 2
    assert after.misses == before.misses


def test_to_ask_loads_nothing():
    code = "import sys, dacapo_like; print(dacapo_like.cache_statistics().tensorstore, 'tensorstore' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "None False\n"
