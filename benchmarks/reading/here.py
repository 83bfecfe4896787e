"""Reads with this package, and with the libraries that it stands on.

``DACAPO_LIKE_CACHE_BYTES`` says how many bytes of decoded chunks are kept, by whatever keeps some.
"""

from __future__ import annotations

import os

CACHE = int(os.environ["DACAPO_LIKE_CACHE_BYTES"])

if __name__ == "__main__":
    from serving import serve
    from stores import STORES
    from trees import TREES

    serve({**STORES, **TREES}, [])
