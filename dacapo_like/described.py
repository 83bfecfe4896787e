"""What an array says of itself: its spec, attribute by attribute, as DaCapo and numpy name them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like.geometry import funlib_where_integral
from dacapo_like.spec import ArraySpec, Kind, describe_spec


class Described(ABC):
    """Attributes that are read off a spec."""

    __slots__ = ()

    spec: ArraySpec

    @abstractmethod
    def describe(self) -> str:
        """Say how messages call it."""

    @property
    def roi(self) -> Any:
        """Region in world units: funlib's ``Roi`` where every number is an integer, else our own."""
        return funlib_where_integral(self.spec.roi)

    @property
    def voxel_size(self) -> Any:
        """Per spatial axis, in world units: funlib's ``Coordinate`` where integral, else our own."""
        return funlib_where_integral(self.spec.voxel_size)

    @property
    def offset(self) -> Any:
        """Corner of the first voxel, in world units."""
        return funlib_where_integral(self.spec.offset)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names in array order."""
        return self.spec.axes

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
        return self.spec.dims

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.spec.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along every axis."""
        return self.spec.shape

    @property
    def size(self) -> int:
        """Number of voxels."""
        return self.spec.box.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """What reads return."""
        return self.spec.dtype

    @property
    def units(self) -> tuple[str | None, ...]:
        """Unit of each spatial axis."""
        return self.spec.units

    @property
    def kind(self) -> Kind:
        """Image, labels or mask."""
        return self.spec.kind

    @property
    def channels(self) -> tuple[str, ...] | None:
        """Names along axis ``c``."""
        return self.spec.channels

    @property
    def num_channels(self) -> int | None:
        """Length of axis ``c``; ``None`` where there is none."""
        return self.spec.num_channels

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Chunks as stored; ``None`` for what is computed."""
        return self.spec.chunk_shape

    @property
    def attrs(self) -> Mapping[str, Any]:
        """Metadata of the source that nothing here interprets."""
        return self.spec.attrs

    @property
    def voxel_to_world(self) -> NDArray[np.float64]:
        """Affine from voxel indices to world positions of voxel centres, see `ArraySpec.voxel_to_world`."""
        return self.spec.voxel_to_world

    @property
    def world_to_voxel(self) -> NDArray[np.float64]:
        """Inverse of `voxel_to_world`."""
        return self.spec.world_to_voxel

    def __repr__(self) -> str:
        return f"<Array {self.describe()}: {describe_spec(self.spec)}>"

    def _repr_html_(self) -> str:
        from html import escape  # notebooks only

        rows = {
            "axes": " ".join(f"{axis} {n}" for axis, n in zip(self.axes, self.shape, strict=True)),
            "dtype": f"{self.dtype.name} ({self.kind})",
            "voxel size": f"{self.spec.voxel_size} {self.spec.describe_unit()}",
            "ROI": str(self.spec.roi),
            "channels": ", ".join(self.spec.channel_names),
        }
        body = "".join(
            f"<tr><th>{key}</th><td>{escape(value)}</td></tr>"
            for key, value in rows.items()
            if value
        )
        return f"<table><caption>{escape(self.describe())}</caption>{body}</table>"
