"""`Named` and `Tree`: against dicts, and against what attrs would have written."""

import copy
import pickle
import sys

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dacapo_like.errors import ConfigError
from dacapo_like.fields import (
    Named,
    Tree,
    about,
    as_named,
    document_key,
    first_repeated,
    spellings,
)

pairs = st.lists(st.tuples(st.text(max_size=3), st.integers()), unique_by=lambda pair: pair[0])


@given(pairs, pairs)
def test_named_is_a_mapping_whose_order_counts(a, b):
    named = Named(a)
    assert dict(named) == dict(a)
    assert list(named.items()) == a
    assert len(named) == len(a)
    assert (named == Named(dict(b))) == (a == b)
    if a == b:
        assert hash(named) == hash(Named(b))
    assert as_named(named) is named
    assert as_named(a) == as_named(dict(a)) == named
    for twin in (pickle.loads(pickle.dumps(named)), copy.deepcopy(named)):
        assert twin == named


def test_named_never_changes_and_is_no_dict():
    named = Named({"a": 1})
    with pytest.raises(TypeError):
        named["a"] = 2
    with pytest.raises(KeyError):
        named["b"]
    assert named != {"a": 1}
    assert repr(named) == "Named({'a': 1})"


def test_names_do_not_repeat():
    with pytest.raises(ConfigError, match=r"names repeat \(got a, b, a"):
        Named([("a", 1), ("b", 2), ("a", 3)])


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Leaf(Tree):
    """A node without children, some of whose fields do not count."""

    value: object = 0
    note: str = attrs.field(default="", eq=False)
    data: list = attrs.field(factory=list, eq=id, repr=False)
    key: object = attrs.field(default=0, metadata=about("A field.", key="k"))

    def children(self):
        return ()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Branch(Tree):
    """A node with children in every place where children can be."""

    one: Tree | None = None
    some: tuple = ()
    named: Named = attrs.field(factory=Named, converter=as_named)
    number: int = 0

    def children(self):
        found = [(("one",), self.one), *((("some",), item) for item in self.some)]
        found += [(("named", name), item) for name, item in self.named.items()]
        return tuple((key, item) for key, item in found if isinstance(item, Tree))


@attrs.frozen(kw_only=True, eq=False, repr=False)
class OtherBranch(Branch):
    """Of another class, with the same fields."""


@attrs.frozen(kw_only=True, cache_hash=True)
class PlainLeaf(Tree):
    """A class that was not told to leave ``eq`` and ``repr`` alone."""

    value: int = 0

    def children(self):
        return ()


DATA = []


def leaf(value=0, **fields):
    return Leaf(value=value, data=DATA, **fields)


def shape(tree):
    """Give a tree as nested tuples, which compare by recursion."""
    if isinstance(tree, Leaf):
        return ("leaf", tree.value, tree.key)
    return (
        type(tree).__name__,
        None if tree.one is None else shape(tree.one),
        tuple(shape(item) if isinstance(item, Tree) else item for item in tree.some),
        tuple((name, shape(item)) for name, item in tree.named.items()),
        tree.number,
    )


leaves = st.builds(leaf, st.integers(-2, 1), note=st.sampled_from("ab"))
small_trees = st.recursive(
    leaves,
    lambda below: st.builds(
        Branch,
        one=st.none() | below,
        some=st.lists(below | st.integers(0, 2), max_size=2).map(tuple),
        named=st.dictionaries(st.sampled_from("ab"), below, max_size=2),
        number=st.integers(0, 1),
    ),
    max_leaves=6,
)


@given(small_trees, small_trees)
def test_trees_are_equal_where_all_their_fields_are(a, b):
    same = shape(a) == shape(b)
    assert (a == b) == same
    assert (a != b) == (not same)
    if same:
        assert hash(a) == hash(b)


@settings(max_examples=50)
@given(small_trees)
def test_trees_copy_and_pickle(tree):
    twin = pickle.loads(pickle.dumps(tree))
    assert repr(twin) == repr(tree)  # shows every field but `data`
    for same in (copy.copy(tree), attrs.evolve(tree)):
        assert same == tree
        assert hash(same) == hash(tree)


def test_which_fields_count():
    assert leaf(note="a") == leaf(note="b")
    assert leaf(1) != leaf(2)
    assert leaf(-1) != leaf(-2)  # whose hashes are equal
    assert Leaf(data=[]) != Leaf(data=[])
    assert Branch() != OtherBranch()
    assert Branch(some=(0,)) != Branch(some=(leaf(),))
    assert leaf() != 3
    assert pickle.loads(pickle.dumps(leaf(note="a"))).note == "a"


def test_a_class_with_the_methods_of_attrs_takes_part():
    a, b = (Branch(one=PlainLeaf(value=1), some=(PlainLeaf(),)) for _ in range(2))
    assert a == b
    assert hash(a) == hash(b)
    assert a != Branch(one=PlainLeaf(value=2), some=(PlainLeaf(),))
    assert pickle.loads(pickle.dumps(a)) == a


def test_shared_nodes_are_shared_in_a_pickle():
    shared = leaf(5)
    twin = pickle.loads(pickle.dumps(Branch(one=shared, some=(shared, leaf(5)))))
    assert twin.one is twin.some[0]
    assert twin.one is not twin.some[1]


def chain(depth):
    tree = leaf()
    for _ in range(depth):
        tree = Branch(one=tree)
    return tree


def diamonds(depth):
    tree = leaf()
    for _ in range(depth):
        tree = Branch(some=(tree, tree))
    return tree


@pytest.mark.parametrize("make", [lambda: chain(2 * sys.getrecursionlimit()), lambda: diamonds(40)])
def test_depth_and_the_number_of_paths_do_not_matter(make):
    tree, same = make(), make()
    other = Branch(one=make())
    assert tree == same
    assert hash(tree) == hash(same)
    assert tree != other
    assert len(repr(tree)) < 10_000
    for twin in (pickle.loads(pickle.dumps(tree)), copy.deepcopy(tree)):
        assert repr(twin) == repr(tree)


def test_small_trees_show_all_of_themselves():
    assert repr(Branch(one=leaf(note="n"), some=(1, leaf("a")))) == (
        "Branch(one=Leaf(value=0, note='n', key=0), some=(1, Leaf(value='a', note='', key=0)), "
        "named=Named({}), number=0)"
    )


def test_keys_of_fields_in_documents():
    fields = attrs.fields_dict(Leaf)
    assert document_key(fields["key"]) == "k"
    assert document_key(fields["value"]) == "value"
    assert about("A path.", path=True)["path"]
    assert not about("No path.")["path"]


def test_all_spellings_of_a_field_the_one_that_is_written_first():
    @attrs.frozen
    class Config:
        source_array_config: int = attrs.field(metadata=about("What.", key="source"))
        value: int = attrs.field(metadata=about("How much.", also=("constant",)))
        name: str = attrs.field()

    assert [spellings(field) for field in attrs.fields(Config)] == [
        ("source", "source_array_config"),
        ("value", "constant"),
        ("name",),
    ]


@pytest.mark.parametrize(
    ("names", "repeated"), [((), None), (("a", "b"), None), (("a", "b", "c", "b", "a"), "b")]
)
def test_the_first_name_that_repeats(names, repeated):
    assert first_repeated(iter(names)) == repeated


def test_names_are_looked_at_once_each():
    class Counted(str):
        __slots__ = ()
        compared = 0

        def __hash__(self):
            return str.__hash__(self)

        def __eq__(self, other):
            Counted.compared += 1
            return str.__eq__(self, other)

    assert first_repeated([Counted(i) for i in range(2000)]) is None
    assert Counted.compared < 2000
