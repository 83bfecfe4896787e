"""Arrays over HTTP, as OME-Zarr that is made when it is asked for."""

from dacapo_like.serving.catalog import Catalog
from dacapo_like.serving.server import Server
from dacapo_like.serving.virtual import VirtualImage

__all__ = ["Catalog", "Server", "VirtualImage"]
