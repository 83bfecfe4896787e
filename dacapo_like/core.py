"""The contracts: configs are data, readers give voxels, operators are pure, and `Array` is the one thing that people hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
from numpy.typing import NDArray

from dacapo_like import engine
from dacapo_like.access import Accessed
from dacapo_like.bridges import block_shape
from dacapo_like.errors import (
    DacapoLikeError,
    KeyPath,
    Remark,
    WriteError,
)
from dacapo_like.fields import PLAIN, Named, Tree, about, as_named, document_key
from dacapo_like.geometry import Box, Roi
from dacapo_like.spec import ArraySpec

Block = engine.Block


class Reader(ABC):
    """Gives the voxels of one opened source.

    Attributes
    ----------
    spec : ArraySpec
        What the source is; ``spec.chunk_shape`` says how it is stored.
    read_only : str or None
        Why its voxels cannot be written; ``None`` where they can.
    in_threads : bool
        Whether `read` takes its time, to decode or to wait for a server, and `start` does not: of several regions some are then
        read in threads.
    """

    spec: ArraySpec
    in_threads: ClassVar[bool] = False
    read_only: str | None = "sources of this type are only read"

    @abstractmethod
    def read(self, box: Box, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read a box.

        Parameters
        ----------
        box : Box
            Inside the array, over all its axes.
        out : ndarray, optional
            Of the box's shape and the array's dtype; may be filled and returned.

        Returns
        -------
        ndarray
            `out`, or an array that the caller may change.
        """

    def start(self, box: Box, out: NDArray[Any] | None = None) -> Callable[[], NDArray[Any]]:
        """Begin to read a box; the function that is returned waits for it.

        Readers that can have several reads in flight override this; by default nothing happens before the wait.
        """
        return lambda: self.read(box, out)

    def keeps(self, shape: Sequence[int] | None = None) -> bool:  # noqa: ARG002  # for subclasses
        """Whether decoded chunks are kept, by the settings that hold here, and `start_through` keeps its results in their place.

        Parameters
        ----------
        shape : sequence of int, optional
            Of a box: whether those are kept that it touches, wherever it is.
        """
        return False

    def start_through(self, box: Box, through: engine.Through) -> Callable[[], NDArray[Any]]:
        """Begin to read what a function of single voxels makes of a box; readers that keep chunks keep that instead.

        Parameters
        ----------
        box : Box
            Inside the array.
        through : Through
            Takes an ndarray, gives one of the same shape and of its own `dtype`.
        """
        finish = self.start(box)
        return lambda: through(finish())

    def write(self, box: Box, data: NDArray[Any]) -> None:  # noqa: ARG002  # for subclasses
        """Replace the voxels of a box; readers whose `read_only` is ``None`` override this.

        Parameters
        ----------
        box : Box
            Inside the array, over all its axes.
        data : ndarray
            Of the box's shape and the array's dtype; not to be kept or changed.

        Raises
        ------
        WriteError
            The voxels cannot be written. Every chunk then holds its old voxels or its new ones.
        """
        raise engine.not_writable(self.read_only)

    def write_attributes(self, attributes: Mapping[str, Any]) -> None:  # noqa: ARG002  # for subclasses
        """Store further metadata beside the voxels; readers that can, override this.

        Raises
        ------
        WriteError
            They cannot be stored.
        """
        raise WriteError("metadata cannot be added: a source of this type has no place for them")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ArrayConfig(Tree):
    """What an array is, as data: immutable, hashable, without I/O.

    Attributes
    ----------
    name : str or None
        For people; two configs that differ in it alone are equal.
    """

    tag: ClassVar[str] = ""
    in_documents: ClassVar[bool] = True
    name: str | None = attrs.field(
        default=None,
        eq=False,
        metadata=about("A name for people; it does not change what the array is."),
    )

    @abstractmethod
    def opened(self, *inputs: Array) -> Array:
        """Open this one node, its inputs being open already."""

    def array(self) -> Array:
        """Open the whole tree: headers are read, no voxels.

        Raises
        ------
        SourceError
            A source is not there or not what the config says.
        SpecError
            An operator cannot be applied to its inputs.
        """
        return open_tree(self)

    def children(self) -> tuple[tuple[KeyPath, ArrayConfig], ...]:
        """Give the configs that this one is made of, each with its key path in a document."""
        found: list[tuple[KeyPath, ArrayConfig]] = []
        for field in attrs.fields(type(self)):
            value, key = getattr(self, field.name), document_key(field)
            if type(value) in PLAIN:
                continue
            if isinstance(value, ArrayConfig):
                found.append(((key,), value))
            elif isinstance(value, Named):
                found.extend(((key, k), v) for k, v in value.items() if isinstance(v, ArrayConfig))
            elif isinstance(value, tuple):
                found.extend(
                    ((key, i), v) for i, v in enumerate(value) if isinstance(v, ArrayConfig)
                )
        return tuple(found)

    def remarks(self, *inputs: ArraySpec) -> Iterable[Remark]:  # noqa: ARG002  # for subclasses
        """Say what opens but may not be what was meant; ``verify`` shows it."""
        return ()

    def describe(self) -> str:
        """Say how messages call this config."""
        return f"{self.tag} {self.name!r}" if self.name else self.tag


class SourceConfig(ArrayConfig):
    """An array that is stored somewhere. Subclasses open it; heavy imports live in `open`."""

    @abstractmethod
    def open(self) -> Reader:
        """Read the headers and give a reader."""

    def opened(self, *inputs: Array) -> Array:
        """Open the source."""
        assert not inputs  # noqa: S101  # a source has none
        reader = self.open()
        return Array(self, reader.spec, reader=reader)


class OperatorConfig(ArrayConfig):
    """An array that is computed from others: `derive` its spec, say what it `needs`, `compute` it.

    Attributes
    ----------
    read_only : str or None
        Why nothing can be written through the operator; ``None`` where a box of it is, voxel for voxel, the box of its one source
        that `needs` gives.
    rigid : bool
        Whether what `needs` gives for a box that is shifted in space, inside the array, is what it gives for the box, shifted as
        far; all inputs have the spatial axes of the output. Such reads are planned once for all boxes of one shape.
    widens : bool
        Whether `compute` fills an `out` of any dtype to which its own casts safely.
    gathers : bool
        Whether `places` gives parts of the output in which inputs are made.
    """

    read_only: ClassVar[str | None] = "its voxels are computed from those of its sources"
    rigid: ClassVar[bool] = False
    widens: ClassVar[bool] = False
    gathers: ClassVar[bool] = False

    @abstractmethod
    def derive(self, *inputs: ArraySpec) -> ArraySpec:
        """Give the output's spec; no I/O.

        Raises
        ------
        SpecError
            The operator cannot be applied to these inputs.
        """

    @abstractmethod
    def needs(self, box: Box, *inputs: ArraySpec) -> tuple[Box | None, ...]:
        """Give the box of each input that a box of the output is made of; ``None``: not read."""

    def needs_more(self, box: Box, *blocks: Block) -> tuple[Box | None, ...] | None:  # noqa: ARG002  # for subclasses
        """Give the boxes that the voxels read so far ask for; ``None``: there is all that `compute` needs.

        For operators that look up in one input where to read another. It is asked again when those boxes were read, each in the
        place of the block that it had been; ``None`` for an input keeps its block.
        """
        return None

    @abstractmethod
    def compute(self, box: Box, *blocks: Block, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Make a box of the output: pure, never reads, never changes a block.

        Returns
        -------
        ndarray
            Of shape ``box.shape`` and the declared dtype: `out` filled, a new array, or a view of a block.
        """

    def view_offset(self, *inputs: ArraySpec) -> tuple[int, ...] | None:  # noqa: ARG002  # for subclasses
        """Give where the output begins in its one input, where it is a box of that and `compute` passes it on; ``None``: it is more.

        Such an operator takes no part in reads.
        """
        return None

    def folded(self, below: engine.Operation) -> engine.Operation | None:  # noqa: ARG002  # for subclasses
        """Give one operator on the source of `below` that does what this one does on top of it; ``None``: there is none.

        Both make a voxel of the one at its place.
        """
        return None

    def split(self, source: ArraySpec) -> engine.Split | None:  # noqa: ARG002  # for subclasses
        """Give two parts that together do the same, the first a function of single voxels that leaves fewer bytes; ``None``: there are none.

        What it gives of a chunk is then kept in the place of the chunk.
        """
        return None

    def places(
        self,
        box: Box,  # noqa: ARG002  # for subclasses
        out: NDArray[Any],  # noqa: ARG002
        *inputs: ArraySpec,
    ) -> tuple[NDArray[Any] | None, ...]:
        """Give, for each input, the part of a block of the output that holds just what the input gives; ``None``: there is none.

        The input may then be made there, and `compute` finds it in place, see `Block`.
        """
        return (None,) * len(inputs)

    def opened(self, *inputs: Array) -> Array:
        """Derive the spec."""
        return Array(self, self.derive(*(item.spec for item in inputs)), inputs=inputs)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class UnaryConfig(OperatorConfig):
    """An operator with one source."""

    source_array_config: ArrayConfig = attrs.field(
        metadata=about("The array that the operator is applied to.", key="source")
    )


class Array(Accessed):
    """An opened tree, addressed by region in world units; voxels are read when asked for.

    Made by ``config.array()``, `open_array` or `from_numpy`. It pickles as its config: a worker opens it again.

    Attributes
    ----------
    config : ArrayConfig
        The tree that it was made from; what was done in Python can be saved as a document.
    spec : ArraySpec
        Axes, shape, dtype and place in the world.
    inputs : tuple of Array
        Of an operator.
    reader : Reader or None
        Of a source.

    Examples
    --------
    >>> import numpy as np, dacapo_like
    >>> array = dacapo_like.from_numpy(np.arange(12).reshape(3, 4), voxel_size=(10, 10))
    >>> array[dacapo_like.Roi((10, 0), (10, 20))]
    array([[4, 5]])
    """

    __slots__ = ("_opened_readout", "config", "inputs", "reader", "spec")

    def __init__(
        self,
        config: ArrayConfig,
        spec: ArraySpec,
        *,
        inputs: tuple[Array, ...] = (),
        reader: Reader | None = None,
    ) -> None:
        self.config = config
        self.spec = spec
        self.inputs = inputs
        self.reader = reader
        self._opened_readout: engine.Readout | None = None

    if TYPE_CHECKING:  # operators add their methods when they are registered

        def __getattr__(self, name: str) -> Callable[..., Array]: ...

    def __reduce__(self) -> tuple[Any, ...]:
        return open_tree, (self.config,)

    @property
    def name(self) -> str | None:
        """What people call it: the name in its config."""
        return self.config.name

    @property
    def input_keys(self) -> tuple[KeyPath, ...]:
        """Where each of the inputs is in the config."""
        keys = {child: key for key, child in reversed(self.config.children())}
        return tuple(keys[item.config] for item in self.inputs)

    @property
    def operation(self) -> OperatorConfig | None:
        """The config, where it is an operator's."""
        return self.config if isinstance(self.config, OperatorConfig) else None

    def describe(self) -> str:
        """Say how messages call this array."""
        return self.config.describe()

    @property
    def _readout(self) -> engine.Readout:
        if self._opened_readout is None:
            self._opened_readout = engine.Readout(self)
        return self._opened_readout

    def add_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Store further attributes beside the voxels of a writable source; `attrs` shows them from now on.

        Parameters
        ----------
        metadata : mapping of str to JSON
            Those that are there under the same keys are replaced, the others kept.

        Raises
        ------
        WriteError
            The array is computed from others or not writable, or the disk refuses.
        ConfigError
            They are not JSON, or would change what the array is.
        """
        if self.reader is None:
            raise WriteError(
                "metadata cannot be added: the array is computed", where=self.describe()
            )
        engine.written_node(self)
        self.reader.write_attributes(metadata)
        self.spec = self.spec.replace(attrs={**self.spec.attrs, **metadata})

    # Growing the tree

    def apply(self, config_class: type[UnaryConfig], **fields: Any) -> Array:
        """Put an operator on top of this array.

        Parameters
        ----------
        config_class : type
            Of an operator with one source.
        **fields
            Of the config.
        """
        return open_tree(
            config_class(source_array_config=self.config, **fields), {self.config: self}
        )


def open_tree(config: ArrayConfig, known: Mapping[ArrayConfig, Array] | None = None) -> Array:
    """Open a tree; equal configs in it become one array.

    Parameters
    ----------
    config : ArrayConfig
        The root.
    known : mapping, optional
        Arrays that are open already.

    Raises
    ------
    DacapoLikeError
        The first node that cannot be opened; ``where`` says which.
    """
    opened = dict(known or {})
    stack = [config]
    while stack:
        node = stack[-1]
        children = [child for _, child in node.children()]
        missing = [child for child in children if child not in opened]
        if node in opened:
            stack.pop()
        elif missing:
            stack.extend(missing)
        else:
            opened[node] = open_node(node, [opened[child] for child in children])
    return opened[config]


def tree_nodes(array: Array) -> tuple[Array, ...]:
    """Give every array of a tree once, consumers first."""
    return engine.consumers_first(array)


def open_node(config: ArrayConfig, inputs: Sequence[Array]) -> Array:
    """Open one node whose inputs are open; an error says which node it was."""
    try:
        return config.opened(*inputs)
    except DacapoLikeError as error:
        error.where = error.where or config.describe()
        raise


__all__ = [
    "Array",
    "ArrayConfig",
    "Block",
    "Named",
    "OperatorConfig",
    "Reader",
    "Roi",
    "SourceConfig",
    "UnaryConfig",
    "about",
    "as_named",
    "block_shape",
    "document_key",
    "open_node",
    "open_tree",
    "tree_nodes",
]
