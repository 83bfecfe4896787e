"""Eight processes put the same names into a store at once, while another reads it all the time: URL NAMES.

Prints which names each of them got to put, and how often everything was read meanwhile.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import re
import sys

from dacapo_like import ConfigStore
from dacapo_like.errors import ConfigError

WRITERS = 8
forked = multiprocessing.get_context("fork")  # imports are done once
start = forked.Barrier(WRITERS + 1)


def put_all(url: str, number: int, names: list[str]) -> list[str]:
    """Put the names in an order of one's own; give those that nobody else had put."""
    store, won = ConfigStore(url), []
    random.Random(number).shuffle(names)
    start.wait()
    for name in names:
        try:
            store.put(name, {"type": "zarr", "file_name": f"/data/{number}.zarr"})
        except ConfigError as error:
            if error.code != "DL132":
                raise
        else:
            won.append(name)
    return won


def read_all(url: str, names: list[str]) -> int:
    """Read until all names are there: what is there is whole, and stays. Give how often."""
    store, times = ConfigStore(url), 0
    files: dict[str, str] = {}
    start.wait()
    while len(files) < len(names):
        there = store.names()
        assert files.keys() <= set(there) <= set(names), there
        for name in there:
            file = store.config(name).file_name
            assert re.fullmatch(r"/data/[0-7]\.zarr", file), file
            assert files.setdefault(name, file) == file
        times += 1
    return times


def main(url: str, listed: str) -> None:
    names = json.loads(listed)
    prepared = ConfigStore(url)
    prepared.put("prepared", {"type": "zarr", "file_name": "/data/prepared.zarr"})
    prepared.config("prepared")
    prepared.delete("prepared")
    with forked.Pool(WRITERS + 1) as pool:
        reading = pool.apply_async(read_all, (url, names))
        writing = [pool.apply_async(put_all, (url, number, names)) for number in range(WRITERS)]
        won = [each.get(timeout=100) for each in writing]
        times = reading.get(timeout=100)
    sys.stdout.write(json.dumps({"won": won, "read": times}))


if __name__ == "__main__":
    main(*sys.argv[1:])
