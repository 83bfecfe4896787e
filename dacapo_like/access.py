"""Reading and writing regions: what an array does with indices, regions, boxes, and what leaves it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dacapo_like import engine
from dacapo_like.bridges import Bridged
from dacapo_like.engine import ahead, check_bytes
from dacapo_like.errors import RegionError, WriteError
from dacapo_like.geometry import Box, RoiLike, Snap, is_roi
from dacapo_like.indexing import broadcast, index_box, written_box
from dacapo_like.padding import Finish, Pad, fitting_values, start_padded


class Accessed(Bridged):
    """A node of an opened tree whose voxels are read, and assigned to."""

    __slots__ = ()

    @property
    @abstractmethod
    def _readout(self) -> engine.Readout:
        """Reads boxes of it."""

    @abstractmethod
    def describe(self) -> str:
        """Say how messages call it."""

    # Reading

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Read a region (`Roi`, in world units) or a numpy-like index (integers, slices, an ellipsis).

        Unlike numpy, a slice that leaves the array is an error.
        """
        if is_roi(key):
            return self.read(key)
        with self._placing_errors():
            box, steps = index_box(key, self.shape)
            return np.asarray(self.read_box(box)[steps])

    def read(
        self,
        roi: RoiLike | None = None,
        *,
        snap: Snap | None = None,
        pad: Pad | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Read a region.

        Parameters
        ----------
        roi : Roi, optional
            In world units, one number per spatial axis; by default the whole array. The other axes are whole.
        snap : {"grow", "shrink", "nearest"}, optional
            How to align a region that is not on the voxel grid; by default that is an error.
        pad : "edge", "reflect" or {"constant": value}, optional
            What stands outside of the array; by default leaving it is an error.
        out : ndarray, optional
            Where to put the voxels.

        Returns
        -------
        ndarray
            Over all axes, in array order; it belongs to the caller.

        Raises
        ------
        RegionError
            The region has the wrong rank, is not on the grid, or leaves the array.
        ReadError
            A source cannot give its voxels.
        """
        try:
            box = self.spec.box if roi is None else self.spec.roi_to_box(roi, snap=snap)
            return self.start_box(box, pad=pad, out=out)()
        except RegionError as error:
            error.where = error.where or self.describe()
            raise

    def read_each(
        self, rois: Iterable[RoiLike], *, snap: Snap | None = None, pad: Pad | None = None
    ) -> Iterator[NDArray[Any]]:
        """Read one region after the other, the next ones being read meanwhile.

        Parameters
        ----------
        rois : iterable of Roi
            Taken one by one, some ahead of what was given out: as many as the setting ``reads_in_flight`` says.
        snap, pad
            As of `read`.

        Yields
        ------
        ndarray
            What `read` gives.

        Examples
        --------
        >>> import numpy as np
        >>> from dacapo_like import Roi, from_numpy
        >>> array = from_numpy(np.arange(6), axes="x", voxel_size=(10,))
        >>> [voxels.tolist() for voxels in array.read_each([Roi((0,), (20,)), Roi((30,), (20,))])]
        [[0, 1], [3, 4]]
        """
        with self._placing_errors():
            yield from ahead(
                self.start_box(self.spec.roi_to_box(roi, snap=snap), pad=pad) for roi in rois
            )

    def read_many(
        self,
        rois: Sequence[RoiLike],
        *,
        snap: Snap | None = None,
        pad: Pad | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Read regions of one shape into one batch; otherwise as `read_each`.

        Parameters
        ----------
        rois : sequence of Roi
            At least one.
        snap, pad
            As of `read`.
        out : ndarray, optional
            Where to put the voxels.

        Returns
        -------
        ndarray
            Of shape ``(len(rois), ...)``, one region after the other.

        Raises
        ------
        RegionError
            There is none, or they differ in shape; or as of `read`.
        """
        with self._placing_errors():
            boxes = [self.spec.roi_to_box(roi, snap=snap) for roi in rois]
            shapes = {box.shape for box in boxes}
            if len(shapes) != 1:
                raise RegionError(
                    "regions that make no batch",
                    got=f"shapes {sorted(shapes)}" if shapes else "no region",
                    expected="at least one, all of one shape",
                    hint="`read_each` gives regions of any shape one by one",
                )
            shape = (len(boxes), *shapes.pop())
            if out is None:
                needed = math.prod(shape) * self.dtype.itemsize
                check_bytes(self._readout.root, boxes[0], needed)
                out = np.empty(shape, self.dtype)
            self._check_out(out, shape)
            deque(
                ahead(self.start_box(b, pad=pad, out=o) for b, o in zip(boxes, out, strict=True)),
                maxlen=0,
            )
            return out

    @contextmanager
    def _placing_errors(self) -> Iterator[None]:
        try:
            yield
        except RegionError as error:
            error.where = error.where or self.describe()
            raise

    def read_box(
        self, box: Box, *, pad: Pad | None = None, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Read a box of voxels over all axes; otherwise as `read`."""
        return self.start_box(box, pad=pad, out=out)()

    def start_box(
        self, box: Box, *, pad: Pad | None = None, out: NDArray[Any] | None = None
    ) -> Finish:
        """Begin to read a box; the function that is returned waits for it, computes, and gives what `read_box` gives.

        Sources that can have several reads in flight are asked now; errors in what they hold come out of the wait.
        """
        bounds = self.spec.box
        ndim = len(bounds.shape)
        if len(box.offset) != ndim or len(box.shape) != ndim or min(box.shape, default=0) < 0:
            raise RegionError(
                "not a box of this array",
                got=box,
                expected=f"one offset and one size per axis {' '.join(self.axes)}",
                where=self.describe(),
            )
        if out is not None:
            self._check_out(out, box.shape)
        if bounds.contains(box):
            return self._readout.start(box, out)
        if pad is None:
            raise RegionError(
                "region leaves the array",
                got=self.spec.box_to_roi(box),
                expected=f"inside {self.spec.roi}",
                where=self.describe(),
                hint='pass pad="edge", pad="reflect" or pad={"constant": 0} to say what stands outside',
            )
        check_bytes(self._readout.root, box, box.size * self.dtype.itemsize)
        finish = start_padded(self._readout.start, box, bounds, self.dtype, pad)
        if out is None:
            return finish

        def fill() -> NDArray[Any]:
            out[...] = finish()
            return out

        return fill

    def _check_out(self, out: NDArray[Any], shape: tuple[int, ...]) -> None:
        if out.shape != shape or out.dtype != self.dtype:
            raise RegionError(
                "`out` does not fit the region",
                got=f"{out.dtype} {out.shape}",
                expected=f"{self.dtype} {shape}",
                where=self.describe(),
            )
        if not out.flags.writeable:
            raise RegionError("`out` cannot be written to", where=self.describe())

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        """Read the whole array, as numpy asks for it."""
        if copy is False:
            raise ValueError("an Array holds no voxels: numpy cannot have them without a copy")
        data = self.read()
        return data if dtype is None else data.astype(dtype, copy=False)

    def __len__(self) -> int:
        return self.shape[0]

    # Writing

    @property
    def writable(self) -> bool:
        """Whether regions can be assigned to."""
        try:
            engine.written_node(self._readout.root)
        except WriteError:
            return False
        return True

    def __setitem__(self, key: Any, values: Any) -> None:
        """Replace the voxels of a region (`Roi`, in world units) or of a numpy-like index without strides.

        They are on disk when this returns.

        Parameters
        ----------
        key : Roi or index
            As in reading; it lies on the grid and inside the array.
        values : array_like
            Broadcast to the region. Each is kept as it is, or the assignment refused; floats are rounded to the array's own.

        Raises
        ------
        WriteError
            The array is not writable, or the disk refuses.
        RegionError
            The region has the wrong rank, is not on the grid, or leaves the array; or the values do not fit it.
        ConfigError
            The dtype cannot hold a value.
        """
        with self._placing_errors():
            if is_roi(key):
                box, shape = self.spec.roi_to_box(key), None
            else:
                box, shape = written_box(key, self.shape)
            self.write_box(box, broadcast(values, box.shape if shape is None else shape))

    def write_box(self, box: Box, data: NDArray[Any]) -> None:
        """Replace the voxels of a box over all axes; otherwise as assigning to a region."""
        engine.written_node(
            self._readout.root
        )  # what cannot be mended by other values is said first
        if not self.spec.box.contains(box):
            raise RegionError(
                "region leaves the array",
                got=self.spec.box_to_roi(box),
                expected=f"inside {self.spec.roi}",
                where=self.describe(),
            )
        engine.write(self._readout.root, box, fitting_values(data, self.dtype).reshape(box.shape))
