"""Parameters of documents: what they become, where problems are, and that secrets stay where they are."""

from __future__ import annotations

import pickle

import jsonschema
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import dacapo_like
from dacapo_like.concealed import reveal
from dacapo_like.config.document import MAX_NODES, parse_document, write_document
from dacapo_like.config.loading import load_document
from dacapo_like.config.parameters import escaped, resolve_parameters
from dacapo_like.config.schema import schema_of
from dacapo_like.errors import DocumentError, InvalidDocumentError, SourceError

SIGNED = "https://example.org/a.zarr?sig=${sig}"


def resolved(text):
    document = resolve_parameters(parse_document(text))
    assert document.problems == ()
    return document.data


def problems(text):
    return load_document(parse_document(text)).problems


def places(text):
    return [(problem.line, problem.column, problem.code) for problem in problems(text)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", 3),
        ("9.8", 9.8),
        ("true", True),
        ("null", None),
        ("text", "text"),
        ("[1, [2, 3]]", [1, [2, 3]]),
        ("{a: [3, 4]}", {"a": [3, 4]}),
    ],
)
def test_a_whole_value_keeps_its_type(value, expected):
    assert resolved(f"parameters: {{it: {value}}}\narrays: ${{it}}") == {"arrays": expected}


@pytest.mark.parametrize(
    ("value", "expected"),
    [("3", "a/3.zarr"), ("9.8", "a/9.8.zarr"), ("true", "a/true.zarr"), ("'0x3'", "a/0x3.zarr")],
)
def test_inside_of_a_text_it_is_text(value, expected):
    text = f"parameters: {{it: {value}}}\narrays: 'a/${{it}}.zarr'"
    assert resolved(text) == {"arrays": expected}


def test_parameters_use_others_in_any_order():
    text = (
        "parameters: {path: '${folder}/${name}', folder: '/data', name: fly, both: ['${path}']}\n"
        "x: '${both}'\ny: '${path}.zarr'\n"
    )
    assert resolved(text) == {"x": ["/data/fly"], "y": "/data/fly.zarr"}


def test_what_is_no_reference_stays():
    data = {"a": "$x", "b": "{x}", "c": "${root:lab}/a", "d": "$$", "e": "z{z:04d}"}
    assert resolved(write_document(data, "yaml") + "f: '$${x}/${x}'\nparameters: {x: 1}") == {
        **data,
        "f": "${x}/1",
    }


def test_text_that_looks_like_a_reference_survives_a_round_trip():
    config = dacapo_like.ZarrArrayConfig(file_name="/a/${x}/$${y}/${root:z}.zarr")
    for form in ("yaml", "toml", "json"):
        again = load_document(parse_document(dacapo_like.dump(config, form), format=form)).config
        assert again == config
    assert resolve_parameters(parse_document(write_document(escaped({"a": "${x}"}), "yaml"))).data


DOCUMENT = """\
parameters:
  shape: [2, 4]
  low: 0
arrays:
  raw: {type: zarr, file_name: a.zarr}
  cut: {type: crop, source: raw, roi: {offset: [0, 0], shape: "${shape}"}}
  scaled: {type: intensities, source: cut, min: "${low}", max: 255}
"""


@pytest.mark.parametrize("form", ["yaml", "toml", "json"])
def test_all_formats_say_the_same(tmp_path, form):
    data = parse_document(DOCUMENT).data
    path = tmp_path / f"a.{form}"
    path.write_text(write_document(data, form))
    loaded = dacapo_like.load(path)
    assert loaded.config.arrays["cut"].roi.shape == (2, 4)
    assert dacapo_like.load(data).config.arrays["scaled"].min == 0
    dumped = dacapo_like.dump(loaded.config, form)
    assert "parameters" not in dumped
    assert "${" not in dumped
    path.write_text(dumped)
    assert dacapo_like.load(path) == loaded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: ${x}", [(1, 4, "DL120")]),
        ('parameters: {shape: 3}\na: "b/${shap}/c"', [(2, 7, "DL120")]),
        ("parameters: {x: 3}\na: >-\n  one ${x}\n  two ${y}", [(4, 7, "DL120")]),
        ("parameters: {x: 3}\na: '$${y} ${y}'", [(2, 11, "DL120")]),
        ("parameters: {x: '${y}', y: '${x}'}\na: ${x}", [(1, 29, "DL121")]),
        ("parameters: {x: '${x}'}", [(1, 18, "DL121")]),
        ("parameters: [1]\na: 1", [(1, 13, "DL103")]),
        ("parameters: {x: [1]}\na: 'b${x}'", [(2, 6, "DL103")]),
        ("parameters: {x: {env: NOT_SET_HERE}}\na: ${x}", [(1, 23, "DL122")]),
        ("parameters: {x: {env: NOT_SET_HERE}}\na: 1", []),
        ("parameters: {x: {env: A, defult: 1}}", [(1, 26, "DL105")]),
        ("parameters: {x: {env: 3}}", [(1, 23, "DL103")]),
        ("parameters: {x: {env: A, secret: yes}}", [(1, 34, "DL103")]),
        ("parameters: {x: {env: A, secret: true, default: b}}", [(1, 49, "DL123")]),
        ("parameters: {'a:b': 1}", [(1, 14, "DL110")]),
    ],
)
def test_problems_are_where_they_are(text, expected):
    document = resolve_parameters(parse_document(text))
    found = [(p.line, p.column, p.code) for p in document.problems]
    assert found == expected


def test_a_problem_is_said_once_and_nothing_follows_from_it():
    text = DOCUMENT.replace('"${low}"', '"${loww}"').replace("a.zarr", '"${folder}/a.zarr"')
    found = problems(text)
    assert [(p.line, p.code) for p in found] == [(5, "DL120"), (7, "DL120")]
    assert found[1].hint == "did you mean 'low'?"
    assert found[1].key == "arrays.scaled.min"


def test_a_circle_names_both_places():
    (problem,) = problems("parameters:\n  a: ${b}\n  b: ${a}\narrays: {}")
    assert "a (line 2, column 6) -> b (line 3, column 6) -> a" in problem.message
    assert (problem.line, problem.column) == (3, 6)


def test_problems_of_values_are_placed_where_they_are_used_and_what_is_in_them_where_it_was_written():
    assert places(DOCUMENT.replace("low: 0", "low: a")) == [(7, 49, "DL103")]
    assert places(DOCUMENT.replace("[2, 4]", "[2, a]")) == [(6, 59, "DL110")] or places(
        DOCUMENT.replace("[2, 4]", "[2, a]")
    )[0][0] in (2, 6)


def test_toml_and_json_have_exact_places():
    toml = parse_document('[arrays.a]\ntype = "zarr"\nfile_name = "x/${y}"', format="toml")
    json = parse_document(
        '{"arrays": {"a":\n {"type": "zarr", "file_name": "${y}"}}}', format="json"
    )
    (first,), (second,) = load_document(toml).problems, load_document(json).problems
    assert (first.line, first.column) == (3, 16)
    assert (second.line, second.column) == (2, 33)


def test_insertions_are_bounded():
    levels = "\n".join(f"  p{i}: ['${{p{i + 1}}}', '${{p{i + 1}}}']" for i in range(40))
    (problem,) = problems(f"parameters:\n{levels}\n  p40: 1\narrays: ${{p0}}")
    assert problem.code == "DL002"
    texts = "\n".join(f"  p{i}: '${{p{i + 1}}}${{p{i + 1}}}'" for i in range(40))
    (problem,) = problems(f"parameters:\n{texts}\n  p40: {'a' * 100}\narrays: ${{p0}}")
    assert problem.code == "DL002"
    chain = "\n".join(f"  p{i}: ${{p{i + 1}}}" for i in range(MAX_NODES // 100))
    (problem,) = problems(f"parameters:\n{chain}\narrays: ${{p0}}")
    assert problem.code == "DL002"


# The environment


def test_variables_are_read_only_where_they_are_declared(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data/007")
    monkeypatch.setenv("LEVEL", "2")
    text = (
        "parameters: {data: {env: DATA_ROOT}, level: {env: LEVEL, default: 0}, n: {env: NO_SUCH, default: '${level}'}}\n"
        "a: '${data}/fly.zarr'\nb: ${level}\nc: '${level}'\nd: 's${level}'\ne: ${n}\n"
    )
    assert resolved(text) == {"a": "/data/007/fly.zarr", "b": 2, "c": 2, "d": "s2", "e": 2}
    (problem,) = problems("arrays: {}\ndatasets: ${DATA_ROOT}")
    assert problem.code == "DL120"
    assert "/data/007" not in str(problem)


SECRET = f"""\
parameters:
  sig: {{env: SIGNATURE, secret: true}}
arrays:
  raw: {{type: zarr, file_name: "{SIGNED}"}}
"""


def test_a_secret_is_in_nothing_that_is_made_of_a_document(monkeypatch, caplog):
    monkeypatch.setenv("SIGNATURE", "hunter2")
    document = parse_document(SECRET)
    loaded = load_document(document)
    config = loaded.config.arrays["raw"]
    kept = [
        repr(loaded),
        repr(config),
        config.file_name,
        config.describe(),
        pickle.dumps(config).decode("latin-1"),
        *(dacapo_like.dump(loaded.config, form) for form in ("yaml", "toml", "json")),
    ]
    assert not any("hunter2" in text for text in kept)
    assert config.file_name == "https://example.org/a.zarr?sig=${secret:SIGNATURE}"
    assert reveal(config.file_name) == "https://example.org/a.zarr?sig=hunter2"
    again = load_document(parse_document(dacapo_like.dump(loaded.config)))
    assert again.config == loaded.config
    assert "hunter2" not in caplog.text


def test_a_secret_that_is_not_there_is_said_when_it_is_needed(monkeypatch):
    monkeypatch.delenv("SIGNATURE", raising=False)
    config = load_document(parse_document(SECRET)).config
    with pytest.raises(SourceError, match="environment variable of a secret is not set") as caught:
        config.arrays["raw"].array()
    assert caught.value.code == "DL122"


@pytest.mark.parametrize(
    "array",
    [
        '{type: zarr, file_name: "https://example.org/${sig}/a.zarr"}',
        '{type: zarr, file_name: "${sig}"}',
        '{type: zarr, file_name: "/data/${secret:SIGNATURE}.zarr"}',
        '{type: zarr, file_name: a.zarr, dataset: "${sig}"}',
        '{type: zarr, file_name: "https://me:${sig}@example.org/a.zarr"}',
        '{type: zarr, file_name: "s3://bucket/a.zarr?${sig}"}',
        '{type: zarr, name: "https://example.org/a.zarr?${sig}", file_name: a.zarr}',
    ],
)
def test_a_secret_stands_only_where_messages_leave_it_out(monkeypatch, array):
    monkeypatch.setenv("SIGNATURE", "hunter2")
    text = f"parameters: {{sig: {{env: SIGNATURE, secret: true}}}}\narrays:\n  raw: {array}"
    (problem,) = problems(text)
    assert (problem.line, problem.code) == (3, "DL123")
    assert "hunter2" not in str(problem)


# Schemas


@pytest.mark.parametrize("draft", ["2020-12", "draft-07"])
def test_editors_accept_parameters_where_values_stand(draft):
    schema = schema_of("experiment", draft)
    check = jsonschema.validators.validator_for(schema)(schema)
    raw = {"type": "zarr", "file_name": "${folder}/a.zarr", "level": "${level}", "mode": "${m}"}
    sizes = {"type": "crop", "source": "raw", "roi": {"offset": [0, "${z}"], "shape": "${shape}"}}
    groups = {"type": "binarize", "source": "raw", "groupings": {"a": "${ids}", "b": ["${id}"]}}
    data = {
        "parameters": {"level": 1, "folder": {"env": "DATA", "default": "."}, "any": [{"a": None}]},
        "arrays": {"raw": raw, "cut": sizes, "groups": groups},
        "patches": {"train": {"shape": "${shape}", "samples": "${n}"}},
    }
    check.validate(data)
    assert not check.is_valid({**data, "parameters": {"folder": {"env": "DATA", "defult": 1}}})
    assert not check.is_valid({"arrays": {"raw": {**raw, "level": "one"}}})
    assert not check.is_valid({"arrays": {"raw": {**raw, "level": "1${x}"}}})


def test_verify_knows_parameters(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(DOCUMENT.replace('"${low}"', '"${loww}"'))
    found = [(p.line, p.column, p.code) for p in dacapo_like.verify(path)]
    assert (7, 50, "DL120") in found
    with pytest.raises(InvalidDocumentError, match="DL120"):
        dacapo_like.load(path)


# Whatever is written

SCALARS = st.one_of(
    st.integers(-(10**6), 10**6),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).filter(
        lambda text: "$" not in text
    ),
)
VALUES = st.recursive(
    SCALARS | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES, st.sampled_from(["yaml", "toml", "json"]))
def test_a_parameter_is_the_value_itself(value, form):
    data = {"parameters": {"it": value, "again": ["${it}"]}, "x": {"y": "${again}"}}
    try:
        document = parse_document(write_document(data, form), format=form)
    except DocumentError:  # TOML has no null
        assume(form != "toml")
        raise
    found = resolve_parameters(document)
    assert found.problems == ()
    assert found.data == {"x": {"y": [value]}}


@given(st.text("${}a:\"' \n\\", max_size=30), st.sampled_from(["yaml", "json"]))
def test_no_text_breaks_it(text, form):
    document = parse_document(
        write_document({"parameters": {"a": 1}, "x": [text]}, form), format=form
    )
    found = resolve_parameters(document)
    for problem in found.problems:
        assert problem.code == "DL120"
        assert (problem.line or 0) >= 1
    again = resolve_parameters(
        parse_document(write_document({"x": [escaped(text)]}, form), format=form)
    )
    assert "root:" in text or "secret:" in text or again.data == {"x": [text]}


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"), max_size=2)))
def test_any_web_of_parameters_ends(web):
    parameters = {
        name: "-".join(f"${{{other}}}" for other in others) for name, others in web.items()
    }
    loaded = load_document(
        parse_document(write_document({"parameters": parameters, "arrays": {}}, "yaml"))
    )
    assert {problem.code for problem in loaded.problems} <= {"DL120", "DL121"}
    dangling = any(other not in web for others in web.values() for other in others)
    assert ("DL120" in [problem.code for problem in loaded.problems]) == dangling
