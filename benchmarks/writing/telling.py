"""What the scripts have in common; it needs nothing, so that it runs in any environment."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

OFFSET, SCALE = 32, 0.75
"""The contrast that is stretched: what is written is ``(voxel - OFFSET) / SCALE``, rounded and clipped."""

Prepare = Callable[..., Callable[[], object]]


def tell(ways: dict[str, Prepare]) -> None:
    """Do what the command line asks for, and print seconds and bytes: ``SCRIPT WAY JSON``.

    What opens the source and imports libraries is not timed; what builds a graph is.
    """
    way, asked = sys.argv[1:]
    options: dict[str, Any] = json.loads(asked)
    try:
        work = ways[way](**options)
    except ModuleNotFoundError as error:
        print(json.dumps({"absent": str(error)}))
        return
    start, processor = time.perf_counter(), time.process_time()
    work()
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "processor": processor, "peak": peak}))
