"""An operator that notes each block that is computed: imported by drivers, and preloaded by workers, of runs that are killed."""

from __future__ import annotations

import os
import time
from typing import Any

import attrs

from dacapo_like.core import UnaryConfig
from dacapo_like.registry import array_types, register

if "logged" not in array_types():

    @register("logged")
    @attrs.frozen(kw_only=True, eq=False, repr=False)
    class LoggedArrayConfig(UnaryConfig):
        """Its source, as it is; a line of the file `log` for every read, after a `pause` in seconds."""

        log: str
        pause: float = 0.0

        def derive(self, *inputs: Any) -> Any:
            return inputs[0]

        def needs(self, box: Any, *inputs: Any) -> Any:
            return (box,)

        def compute(self, box: Any, *blocks: Any, out: Any = None) -> Any:
            time.sleep(self.pause)
            handle = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(handle, (" ".join(map(str, (*box.offset, *box.shape))) + "\n").encode())
            os.close(handle)
            return blocks[0].data


def dask_setup(_worker: Any) -> None:
    """Be a module that dask preloads."""
