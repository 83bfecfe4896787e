"""Documents in every format: files, exact numbers, positions against the text, hostile input."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from dacapo_like.config import _yaml
from dacapo_like.config.document import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    Position,
    parse_document,
    read_document,
    write_document,
)
from dacapo_like.errors import DocumentError

FORMATS = ("yaml", "toml", "json")
LOADERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if yaml.__with_libyaml__ else [])]

each_format = pytest.mark.parametrize("kind", FORMATS)


def refused(text: str, kind: str = "yaml") -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse_document(text, format=kind)
    return caught.value


def unreadable(path) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read_document(path)
    return caught.value


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.yaml", "é: [1, 9.8]"),
            ("a.yml", "é: [1, 9.8]"),
            ("a.YAML", "\ufeffé: [1, 9.8]"),
            ("a.toml", '"é" = [1, 9.8]'),
            ("a.json", '{"é": [1, 9.8]}'),
        ],
    )
    def test_the_suffix_tells_the_format(self, tmp_path, name, text):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        document = read_document(file)
        assert document.data == {"é": [1, 9.8]}
        assert document.path == str(file)
        assert document.directory == tmp_path

    def test_paths_are_kept_as_given(self, tmp_path, monkeypatch):
        (tmp_path / "configs").mkdir()
        (tmp_path / "configs" / "a.yaml").write_text("a: 1\na: 2")
        monkeypatch.chdir(tmp_path)
        document = read_document("configs/a.yaml")
        assert document.path == document.problems[0].path == "configs/a.yaml"
        assert document.directory == tmp_path / "configs"

    def test_text_without_a_file(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        document = parse_document("a: 1")
        assert (document.path, document.directory) == (None, tmp_path)
        named = parse_document("a: 1", path="store:a", directory="/data")
        assert (named.path, named.directory) == ("store:a", Path("/data"))

    def test_errors_name_the_file_and_the_place(self, tmp_path):
        file = tmp_path / "a.yaml"
        file.write_text("a: 1\nb: !x 2\n")
        error = unreadable(file)
        assert str(error).startswith(f"{file}:2:4: the tag !x")
        assert (error.line, error.column) == (2, 4)

    @pytest.mark.parametrize("name", ["a.txt", "a", "a.yaml.bak", ".yaml"])
    def test_other_suffixes(self, tmp_path, name):
        (tmp_path / name).write_text("a: 1")
        error = unreadable(tmp_path / name)
        assert error.code == "DL001"
        assert all(suffix in error.message for suffix in (".yaml", ".yml", ".toml", ".json"))

    @pytest.mark.parametrize(
        "name", ["missing.yaml", "directory.yaml", "nul\0.yaml", "file/a.yaml"]
    )
    def test_what_cannot_be_read(self, tmp_path, name):
        (tmp_path / "directory.yaml").mkdir()
        (tmp_path / "file").touch()
        error = unreadable(tmp_path / name)
        assert error.code == "DL001"
        assert str(error).startswith(str(tmp_path / name))

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
    def test_a_pipe_is_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "a.yaml")
        assert "regular file" in unreadable(tmp_path / "a.yaml").message

    @pytest.mark.parametrize("suffix", FORMATS)
    @pytest.mark.parametrize(
        ("content", "line", "column"),
        [
            (b"a: 1\nb: \xff", 2, 4),
            ("é: ü\xff".encode("latin-1"), 1, 1),
            (b"\xc3\xa9\n\xc3\xa9\xc3", 2, 2),
        ],
    )
    def test_other_encodings(self, tmp_path, suffix, content, line, column):
        file = tmp_path / f"a.{suffix}"
        file.write_bytes(content)
        error = unreadable(file)
        assert (error.code, error.line, error.column) == ("DL001", line, column)
        assert "UTF-8" in error.message

    def test_the_size_is_checked_before_reading(self, tmp_path):
        file = tmp_path / "a.yaml"
        with file.open("wb") as stream:
            stream.truncate(2**36)  # sparse: takes no disk, and could not be read into memory
        error = unreadable(file)
        assert error.code == "DL002"
        assert str(2**36) in error.message

    @each_format
    def test_text_is_limited_too(self, kind):
        assert refused("x" * (MAX_BYTES + 1), kind).code == "DL002"
        assert refused('"\ud800"', kind).column == 2

    def test_unknown_formats(self):
        error = refused("a: 1", "yml")
        assert "'yml'" in error.message
        assert error.hint == "did you mean 'yaml'?"


class TestNumbers:
    @given(
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**50), max_value=10**50)
    )
    @example(Decimal("0.12345678901234567890123"))
    @example(Decimal("9.8"))
    @example(Decimal("-0.0"))
    @example(Decimal("1E+400"))
    @example(Decimal("1E-400"))
    @example(Decimal("1E-401"))
    def test_decimals_are_exact(self, number):
        text = str(number) if re.search("[.E]", str(number)) else f"{number}.0"
        if abs(number.adjusted()) > 400:
            assert {refused(text, kind).code for kind in ("yaml", "json")} == {"DL002"}
            return
        for kind, document in zip(
            FORMATS, (f"a: {text}", f"a = {text}", f'{{"a": {text}}}'), strict=True
        ):
            value = parse_document(document, format=kind).data["a"]
            if isinstance(value, float):
                assert Decimal(repr(value)) == number
            else:
                assert isinstance(value, Decimal)
                assert value == number
                assert Decimal(repr(float(number))) != number

    @each_format
    @pytest.mark.parametrize(
        "number",
        ["1e401", "-1e-401", "1e9999999999999999999999", "1" * 401, "1" * 10_000, "0." + "1" * 400],
        ids=lambda number: number[:8],
    )
    def test_too_long(self, kind, number):
        text = {
            "yaml": f"a:\n  {number}",
            "toml": f"#\na={number}",
            "json": f'{{"a":\n  {number}}}',
        }
        error = refused(text[kind], kind)
        assert (error.code, error.line) == ("DL002", 2)
        assert len(error.message) < 300

    def test_just_short_enough(self):
        assert parse_document("9" * 400).data == 10**400 - 1
        assert parse_document("1e400").data == Decimal("1e400")


leaves = st.integers(1000, 10**9)
names = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
trees = st.dictionaries(
    names,
    st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
        max_leaves=20,
    ),
    min_size=1,
    max_size=5,
)


class TestPositions:
    @each_format
    @given(data=trees)
    def test_every_key_and_value_stands_where_it_is_said_to(self, kind, data):
        text = write_document(data, kind)
        lines = text.splitlines()
        document = parse_document(text, format=kind)

        def at(place: Position) -> str:
            return lines[place.line - 1][place.column - 1 :]

        def check(value, path):
            if path and isinstance(path[-1], str):
                assert re.match(rf"[\"']?{path[-1]}\b", at(document.key_positions[path]))
            if isinstance(value, int):
                assert re.match(rf"{value}\b", at(document.positions[path]))
            elif value:
                for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                    check(item, (*path, key))

        check(data, ())

    @each_format
    def test_line_ends_and_byte_order_marks(self, kind):
        text = {"yaml": "a: 1\nb: 2", "toml": "a = 1\nb = 2", "json": '{"a": 1,\n"b": 2}'}[kind]
        unix = parse_document(text, format=kind)
        windows = parse_document("\ufeff" + text.replace("\n", "\r\n"), format=kind)
        assert windows.data == unix.data == {"a": 1, "b": 2}
        assert windows.positions == unix.positions

    def test_nearest_ancestor(self):
        document = parse_document("a:\n  b: [1]\n")
        assert document.position(("a", "b", 0)) == Position(2, 7)
        assert document.position(("a", "b", 5, "x")) == Position(2, 6)
        assert document.position(("a", "missing")) == Position(2, 3)
        assert document.position(("a", "missing"), of_key=True) == Position(1, 1)
        assert document.position(("missing",)) == document.position(()) == Position(1, 1)


def nested(opening: str, closing: str, depth: int) -> str:
    return opening * depth + "1" + closing * depth


class TestHostile:
    @pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__)
    def events(self, request, monkeypatch):
        """Events taken from either of PyYAML's parsers."""
        taken = []
        parse = yaml.parse

        def counting(text, Loader):  # noqa: N803  PyYAML's name
            for event in parse(text, Loader=Loader):
                taken.append(event)
                yield event

        monkeypatch.setattr(_yaml, "LOADER", request.param)
        monkeypatch.setattr(yaml, "parse", counting)
        return taken

    @pytest.mark.parametrize(
        "text",
        [
            *("[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000, "{" * 100_000),
            "".join(" " * depth + "a:\n" for depth in range(1000)),
        ],
        ids=lambda text: text[:4],
    )
    def test_deep_yaml(self, events, text):
        error = refused(text)
        assert error.code == "DL002"
        assert len(events) < 4 * MAX_DEPTH

    def test_alias_bomb(self, events):
        lines = ["a0: &a0 [x]"]
        lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
        error = refused("\n".join(lines))
        assert (error.code, str(MAX_NODES) in error.message) == ("DL002", True)
        assert len(events) < 500

    def test_aliases_nest_too(self, events):
        lines = ["a0: &a0 x", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 100))]
        assert "deep" in refused("\n".join(lines)).message

    def test_chain_of_merges(self, events):
        """Each mapping takes over all keys of the one before: quadratic, were it not counted."""
        lines = ["m0: &m0 {k0: 1}"]
        lines += [f"m{i}: &m{i} {{<<: *m{i - 1}, k{i}: 1}}" for i in range(1, 5000)]
        error = refused("\n".join(lines))
        assert error.code == "DL002"
        assert error.line < 500

    def test_many_merges_of_little(self):
        assert refused("b: &b {x: 1}\nz: {<<: [" + "*b," * MAX_NODES + "]}").code == "DL002"

    @pytest.mark.parametrize(
        ("kind", "opening", "closing"),
        [
            *(
                ("yaml", "[", "]"),
                ("yaml", "{a: ", "}"),
                ("json", "[", "]"),
                ("json", '{"a":', "}"),
            ),
            *(("toml", "[", "]"), ("toml", "{a=", "}")),
        ],
    )
    def test_depth(self, kind, opening, closing):
        before, levels = ("a=", MAX_DEPTH - 1) if kind == "toml" else ("", MAX_DEPTH)
        assert parse_document(before + nested(opening, closing, levels), format=kind).problems == ()
        for depth in (levels + 1, 100_000):
            error = refused(before + nested(opening, closing, depth), kind)
            assert error.code == "DL002"
            assert error.line == 1
            assert error.column < 10 * MAX_DEPTH
        assert refused(before + opening * 100_000, kind).code == "DL002"

    @pytest.mark.parametrize(
        "text",
        [
            ".".join("a" * 100_000) + " = 1",
            "[" + ".".join("a" * 100_000) + "]",
            "a = {" + ".".join("b" * 50) + " = {" + ".".join("c" * 50) + " = 1}}",
            "[" + ".".join("a" * 60) + "]\n" + ".".join("a" * 60) + " = 1",
        ],
        ids=["key", "header", "tables", "both"],
    )
    def test_dotted_keys_are_depth(self, text):
        assert refused(text, "toml").code == "DL002"

    @pytest.mark.parametrize(
        ("kind", "first", "item", "last"),
        [
            *(("yaml", "", "- 1\n", ""), ("yaml", "[", "1,", "]"), ("json", "[", "1,", "1]")),
            *(
                ("json", "[", "[],", "1]"),
                ("toml", "a = [", "1,", "]"),
                ("toml", "", "[[a]]\n", ""),
            ),
        ],
    )
    def test_number_of_values(self, kind, first, item, last):
        few = first + item * (MAX_NODES - 3) + last
        assert len(parse_document(few, format=kind).positions) in (MAX_NODES - 1, MAX_NODES - 2)
        assert refused(first + item * (MAX_NODES + 1) + last, kind).code == "DL002"

    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            ("toml", "\n" * (MAX_BYTES - 1)),
            ("toml", "#\n" * (MAX_BYTES // 2)),
            ("toml", 'a = "' + '\\"' * 1_000_000),
            ("toml", "'\"" * 1_000_000),
            ("json", '["' + '\\"' * 1_000_000),
            ("json", "[]" * 1_000_000),
            ("json", "[" + '"a' * 1_000_000),
        ],
        ids=lambda text: repr(text[:8]),
    )
    def test_long_and_wrong(self, kind, text):
        """Quadratic time in one of the tokenizers would never end here."""
        assert refused(text, kind).code in {"DL001", "DL002"}

    @pytest.mark.parametrize("loader", LOADERS)
    @given(text=st.text("[]{}:,\"'#=.\n \t-&*!|>?%~ab01\\eé<", max_size=40) | st.text())
    def test_any_yaml_is_read_or_refused(self, loader, text):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_yaml, "LOADER", loader)
            try:
                document = parse_document(text)
            except DocumentError as error:
                code = error.code
            else:
                code = None
                assert document.positions.keys() == document.key_positions.keys()
        assert code in {None, "DL001", "DL002", "DL005"}
