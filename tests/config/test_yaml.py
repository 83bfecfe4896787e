"""YAML documents: the core schema of YAML 1.2, tags, aliases, merges, keys, errors, positions."""

from __future__ import annotations

import math

import pytest
import yaml

from dacapo_like.config import _yaml
from dacapo_like.config.document import parse_document
from dacapo_like.errors import DocumentError

LOADERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if yaml.__with_libyaml__ else [])]


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__, autouse=True)
def _each_loader(request, monkeypatch):
    monkeypatch.setattr(_yaml, "LOADER", request.param)


def refused(text: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse_document(text)
    return caught.value


def place(error) -> tuple[int | None, int | None]:
    return error.line, error.column


def spots(positions) -> dict[tuple, tuple[int, int]]:
    return {key: place(position) for key, position in positions.items()}


class TestScalars:
    def test_example_of_the_specification(self):
        # YAML 1.2.2, section 10.3.2 "Tag Resolution", example 10.9.
        text = """
A null: null
Booleans: [ true, True, false, FALSE ]
Integers: [ 0, 0o7, 0x3A, -19 ]
Floats: [
  0., -0.0, .5, +12e03, -2E+05 ]
Also floats: [
  .inf, -.Inf, +.INF, .NAN ]
"""
        expected = {
            "A null": None,
            "Booleans": [True, True, False, False],
            "Integers": [0, 7, 58, -19],
            "Floats": [0.0, -0.0, 0.5, 12000.0, -200000.0],
            "Also floats": [math.inf, -math.inf, math.inf, math.nan],
        }
        assert repr(parse_document(text).data) == repr(expected)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            *[(text, None) for text in ("null", "Null", "NULL", "~", "")],
            *[(text, True) for text in ("true", "True", "TRUE")],
            *[(text, False) for text in ("false", "False", "FALSE")],
            *[("010", 10), ("-010", -10), ("+5", 5), ("-0", 0), ("0xFf", 255), ("0o17", 15)],
            *[("1e3", 1000.0), ("9.8", 9.8), ("5.", 5.0), ("1e-05", 1e-05), ("-.inf", -math.inf)],
            ("18446744073709551615", 2**64 - 1),
            (".nan", math.nan),
        ],
    )
    def test_core_schema(self, text, value):
        assert repr(parse_document(f"key: {text}").data) == repr({"key": value})

    @pytest.mark.parametrize(
        "text",
        [
            *("on", "off", "yes", "no", "On", "YES", "y", "n", "tRUE", "nULL"),
            *("1:30", "1:30:00.5", "2024-01-01", "2024-01-01T00:00:00Z", "=", "<<"),
            *("0b11", "0o8", "0xg", "-0x1", "+0o7", "1_000", "1,000", "0x", "0o", "+-1", "9.8nm"),
            *(".", ".e3", "e3", "1e", "1.2.3", "+.nan", ".Nan", "inf", "nan", "${root:a}/b.zarr"),
        ],
    )
    def test_strings_of_the_core_schema(self, text):
        assert parse_document(f"key: {text}").data == {"key": text}
        assert parse_document(f"- {text}").data == [text]

    @pytest.mark.parametrize("text", ["true", "1", "~", "0x1", "<<", "1.5"])
    def test_quoted_is_a_string(self, text):
        assert parse_document(f"[\"{text}\", '{text}']").data == [text, text]
        assert parse_document(f"- |-\n  {text}\n- >-\n  {text}\n").data == [text, text]


class TestTags:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("!!str 12", "12"),
            ("!!str", ""),
            ("!!int '12'", 12),
            ("!!float 3", 3.0),
            ("!!float 3.5", 3.5),
            ("!!bool true", True),
            ("!!null ~", None),
            ("!!map {a: 1}", {"a": 1}),
            ("!!seq [1]", [1]),
            ("!!python/tuple [1, 2]", [1, 2]),
            ("!<tag:yaml.org,2002:int> 7", 7),
        ],
    )
    def test_allowed(self, text, value):
        assert repr(parse_document(f"key: {text}").data) == repr({"key": value})

    @pytest.mark.parametrize(
        "text",
        [
            *("!!int abc", "!!int 1.5", "!!int true", "!!bool yes", "!!bool 1", "!!null 0"),
            *("!!float x", "!!float true", "!!map [1]", "!!seq {a: 1}", "!!str [1]", "!!int {}"),
            *("!!python/tuple 3", "!!python/tuple {a: 1}"),
        ],
    )
    def test_misfits(self, text):
        error = refused(f"a: 1\nkey: {text}")
        assert (error.code, *place(error)) == ("DL005", 2, 6)
        assert text.split()[0] in error.message

    @pytest.mark.parametrize(
        ("text", "tag"),
        [
            ("!custom 1", "!custom"),
            ("! 1", "!"),
            ("!!binary aGk=", "!!binary"),
            ("!!set {a}", "!!set"),
            ("!!timestamp 2024-01-01", "!!timestamp"),
            ("!!python/name:os.system", "!!python/name:os.system"),
            ("!!python/object:builtins.object {}", "!!python/object:builtins.object"),
            ("!<tag:example.org,2000:x> [1]", "tag:example.org,2000:x"),
        ],
    )
    def test_others_are_refused_by_name_and_place(self, text, tag):
        error = refused(f"a: 1\nkey:\n- {text}")
        assert (error.code, *place(error)) == ("DL005", 3, 3)
        assert f"the tag {tag} is not allowed" in error.message

    def test_nothing_is_constructed(self, tmp_path):
        target = tmp_path / "owned"
        error = refused(f"a: !!python/object/apply:os.system ['touch {target}']")
        assert "!!python/object/apply:os.system" in str(error)
        assert not target.exists()

    def test_handles_are_expanded_before_they_are_judged(self):
        error = refused("%TAG ! tag:yaml.org,2002:python/\n--- !name:os.system x")
        assert error.code == "DL005"


class TestAliasesAndMerges:
    TEXT = """\
base: &base {type: zarr, level: 0}
a:
  <<: *base
  level: 2
b: [*base, *base]
c: {<<: [{x: 1}, {x: 2, y: 2}], z: 3}
d: {y: 1, <<: *base, type: n5}
"""

    def test_values_are_those_of_pyyaml(self):
        document = parse_document(self.TEXT)
        assert document.data == yaml.safe_load(self.TEXT)
        assert document.problems == ()

    def test_what_aliases_share_is_copied(self):
        first, second = parse_document(self.TEXT).data["b"]
        assert first is not second

    def test_positions_are_where_one_would_mend(self):
        places = spots(parse_document(self.TEXT).positions)
        assert places["b", 1] == (5, 12)
        assert places["b", 1, "type"] == places["base", "type"] == (1, 20)
        assert places["a", "type"] == (1, 20)
        assert places["a", "level"] == (4, 10)

    @pytest.mark.parametrize("value", ["3", "[1]", "text", "[{a: 1}, 2]"])
    def test_only_mappings_are_merged(self, value):
        (problem,) = parse_document(f"a: {{<<: {value}, b: 1}}").problems
        assert (problem.code, *place(problem), problem.key) == ("DL004", 1, 9, "a.<<")

    @pytest.mark.parametrize(
        ("text", "words", "column"),
        [
            ("a: *nowhere", "no anchor &nowhere", 4),
            ("a: &x [*x]", "inside of what it stands for", 8),
            ("a: &x {b: {c: *x}}", "inside of what it stands for", 15),
            ("[&x 1, &x [*x]]", "inside of what it stands for", 12),
        ],
    )
    def test_aliases_to_nothing_or_themselves(self, text, words, column):
        error = refused(text)
        assert words in error.message
        assert place(error) == (1, column)

    def test_a_misspelt_alias_has_a_hint(self):
        assert "'base'" in refused("a: &base 1\nb: *bace").hint

    def test_a_later_anchor_takes_over(self):
        assert parse_document("[&x 1, *x, &x 2, *x]").data == [1, 1, 2, 2]

    def test_an_alias_may_be_a_key(self):
        assert parse_document("{a: &x b, *x : 3}").data == {"a": "b", "b": 3}


class TestKeys:
    def test_duplicates_are_problems_and_the_first_value_counts(self):
        document = parse_document("a:\n  b: 1\n  c: 2\n  'b': [3, {d: 4}]\n", path="x.yaml")
        assert document.data == {"a": {"b": 1, "c": 2}}
        (problem,) = document.problems
        assert (problem.code, *place(problem)) == ("DL003", 4, 3)
        assert (problem.path, problem.key, problem.severity) == ("x.yaml", "a.b", "error")
        assert "line 2, column 3" in problem.message

    def test_all_problems_are_reported(self):
        text = "1: a\n1: b\ntrue: c\n1.5: d\n~: e\non: f\n? [g]\n: h\n{}: i\n'': j"
        document = parse_document(text)
        expected = {"1": "a", "true": "c", "1.5": "d", "~": "e", "on": "f", "": "j"}
        assert document.data == expected
        assert [(p.code, *place(p), p.key) for p in document.problems] == [
            ("DL004", 1, 1, "1"),
            ("DL003", 2, 1, "1"),
            ("DL004", 3, 1, "true"),
            ("DL004", 4, 1, "1.5"),
            ("DL004", 5, 1, "~"),
            ("DL004", 7, 3, ""),
            ("DL004", 9, 1, ""),
        ]

    def test_braces_of_templates(self):
        document = parse_document("a: {{ shape }}\nb: 1")
        assert document.data == {"a": {}, "b": 1}
        (problem,) = document.problems
        assert (problem.code, *place(problem), problem.key) == ("DL004", 1, 5, "a")
        assert "quotes" in problem.hint


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "line", "column"),
        [
            ("a:\n\tb: 1", 2, 1),
            ("a: 1\n b: 2", 2, 3),
            ("a: @x", 1, 4),
            ("a: b: c", 1, 5),
            ("- a\nb: 1", 2, 1),
            ("a: 1\nb: \x07", 2, 4),
            ("a: 'é\ufeff'", 1, 6),
            ("a: 1\n---\nb: 2", 2, 1),
            ('a: "\ud800"', 1, 5),
        ],
    )
    def test_places(self, text, line, column):
        error = refused(text)
        assert (error.code, *place(error)) == ("DL001", line, column)

    @pytest.mark.parametrize("text", ["", "  \n\n", "# no\n", "---\n", "---\n...\n", "\ufeff"])
    def test_empty(self, text):
        assert "empty" in refused(text).message

    @pytest.mark.parametrize(("text", "hint"), [("a:\n\tb: 1", "tabs"), ("a: `x`", "quotes")])
    def test_hints(self, text, hint):
        assert hint in refused(text).hint

    def test_what_began_earlier_is_named(self):
        assert "line 2, column 6" in refused("a:\n  b: [1, 2\nc: 3").message

    @pytest.mark.parametrize("escape", [r"\ud83d\ude00", r"\U00110000", r"\UFFFFFFFF"])
    def test_escapes_that_are_no_characters(self, escape):
        assert refused(f'a: "{escape}"').code == "DL001"

    def test_a_directive_that_is_no_version(self):
        assert refused(f"%YAML 1.{'9' * 5000}\n--- a").code == "DL001"


class TestPositions:
    TEXT = """\
# comment
type: binarize
groupings:
    mito: [3, 4,
           "é", 5]
    'é key' : {deep: ~}
list:
- - x
  - y: 1
    z:
-
  |
  text
"""

    def test_by_hand(self):
        document = parse_document(self.TEXT)
        values, keys = spots(document.positions), spots(document.key_positions)
        assert values[()] == keys[()] == (2, 1)
        assert (keys["groupings",], values["groupings",]) == ((3, 1), (4, 5))
        assert values["groupings", "mito", 3] == (5, 17)
        assert keys["groupings", "é key"] == (6, 5)
        assert values["groupings", "é key", "deep"] == (6, 22)
        assert keys["list", 0, 1, "y"] == (9, 5)
        assert values["list", 0, 1, "z"] == (10, 7)
        assert values["list", 1] == keys["list", 1] == (12, 3)

    def test_against_the_marks_of_pyyaml(self):
        values, keys = {}, {}

        def walk(path, key, node):
            keys[path] = (key.start_mark.line + 1, key.start_mark.column + 1)
            values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    walk((*path, key.value), key, value)
            elif isinstance(node, yaml.SequenceNode):
                for index, item in enumerate(node.value):
                    walk((*path, index), item, item)

        root = yaml.compose(self.TEXT)
        walk((), root, root)
        document = parse_document(self.TEXT)
        assert spots(document.positions) == values
        assert spots(document.key_positions) == keys


class TestOrdinaryDocuments:
    TEXT = """\
arrays:
  raw: {type: zarr, file_name: "fly.zarr", voxel_size: [25, 9.8, 9.8], axes: [c, z]}
  cropped:
    type: crop
    source: raw
    roi: {offset: [0, 0, 0], shape: [100, 100, 100]}
  folded: >
    one
    two
  empty:
datasets:
- {name: crop1, weight: 2, train: true}
"""
    DACAPO = """\
__type__: ResampledArrayConfig
source_array_config: {__type__: DummyArrayConfig, name: d}
upsample: !!python/tuple
- 1
- 2
"""

    def test_as_pyyaml_reads_them(self):
        assert repr(parse_document(self.TEXT).data) == repr(yaml.safe_load(self.TEXT))

    def test_tuples_of_dacapo_become_lists(self):
        assert parse_document(self.DACAPO).data == {
            "__type__": "ResampledArrayConfig",
            "source_array_config": {"__type__": "DummyArrayConfig", "name": "d"},
            "upsample": [1, 2],
        }
