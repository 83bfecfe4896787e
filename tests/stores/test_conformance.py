"""What holds for a store of every kind."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import attrs
import pytest

import dacapo_like
from dacapo_like import (
    BinarizeArrayConfig,
    ConfigStore,
    CropArrayConfig,
    DummyArrayConfig,
    OnesArrayConfig,
    Roi,
    ZarrArrayConfig,
)
from dacapo_like.config.document import parse_document
from dacapo_like.config.loading import load_config
from dacapo_like.core import ArrayConfig
from dacapo_like.errors import ConfigError, InvalidDocumentError
from dacapo_like.registry import document_types

HERE = Path(__file__).parent
PAGES = HERE.parent.parent / "docs" / "reference" / "types"
RAW = ZarrArrayConfig(file_name="/data/fly.zarr", dataset="em")
KILLED = {"overwrite": 200, "put": 30, "rename": 30, "delete": 30}
GOOD_NAMES = [
    "raw",
    "raw v2",
    "a.b.yaml",
    "true",
    "1",
    "~",
    "-rf",
    "*",
    "%2e%2e%2f",
    "$(reboot)",
    "${root:x}",
    "a'b\"c",
    "'; DROP TABLE dacapo_like_arrays; --",
    '{"$gt": ""}',
    "$where",
    "a%sb_c%",
    "名前",
    "été",
    "😀",
    "nul",
    "x" * 200,
]
BAD_NAMES = [
    "",
    ".",
    "..",
    "../raw",
    "a/b",
    "/etc/passwd",
    "a\\b",
    ".hidden",
    " raw",
    "raw ",
    "raw\n",
    "a\0b",
    "a\u202eb",
    "a\u200bb",
    "\ud800",
    "x" * 201,
    "é" * 101,
]


def examples():
    """Give a config of every type, from the page of the type."""
    for page in sorted(PAGES.glob("*.md")):
        for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            config = load_config(parse_document(text).data)
            configs = [config] if isinstance(config, ArrayConfig) else config.arrays.values()
            yield from configs


def types_in(config):
    return {config.tag}.union(*(types_in(child) for _, child in config.children()))


def run(script, *arguments):
    """Run a script of this folder; give what it says."""
    command = [sys.executable, "-W", "error::UserWarning", HERE / script, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=300)
    return json.loads(done.stdout)


def test_a_store_begins_empty_and_looking_makes_nothing(store, tmp_path):
    assert store.names() == ()
    assert store.search("raw") == ()
    assert store.text("raw") is None
    with pytest.raises(ConfigError, match="which has none yet") as caught:
        store.config("raw")
    assert caught.value.code == "DL107"
    assert list(tmp_path.iterdir()) == []


def test_every_type_comes_back_as_it_was_put(store):
    configs = {f"{i} {config.tag}": config for i, config in enumerate(examples())}
    assert set().union(*map(types_in, configs.values())) == set(document_types())
    for name, config in configs.items():
        store.put(name, config)
    assert store.names() == tuple(sorted(configs))
    for name, config in configs.items():
        found = store.config(name)
        assert found == config
        assert found.name == (config.name or name)


def test_numbers_are_exact(store):
    config = BinarizeArrayConfig(
        source_array_config=CropArrayConfig(
            source_array_config=ZarrArrayConfig(file_name="/a.zarr", voxel_size=("10/3", 9.8)),
            roi=Roi((0.1, "1/3"), (10, 9.8)),
        ),
        groupings={"all": [2**64 - 1, -(2**63)]},
    )
    store.put("exact", config)
    assert store.config("exact") == config


def test_a_name_that_is_taken_is_refused_unless_it_is_overwritten(store):
    store.put("raw", RAW)
    other = attrs.evolve(RAW, dataset="other")
    with pytest.raises(ConfigError, match="there is an array of this name already") as caught:
        store.put("raw", other)
    assert caught.value.code == "DL132"
    assert store.config("raw") == RAW
    store.put("raw", other, overwrite=True)
    assert store.config("raw") == other
    store.put("new", other, overwrite=True)
    assert store.names() == ("new", "raw")


def test_names_are_data(store):
    for name in GOOD_NAMES:
        store.put(name, RAW)
        assert store.names() == (name,)
        assert store.config(name) == RAW
        store.put("user", {"type": "ones", "source": name})
        assert store.config("user").source_array_config == RAW
        store.delete("user")
        store.rename(name, "plain")
        store.delete("plain")
        assert store.names() == ()


def uses_of(store, name):
    """Give all that takes a name."""
    return [
        lambda: store.put(name, RAW),
        lambda: store.put(name, RAW, overwrite=True),
        lambda: store.put_all({name: RAW}),
        lambda: store.config(name),
        lambda: store.array(name),
        lambda: store.text(name),
        lambda: store.delete(name),
        lambda: store.rename("raw", name),
        lambda: store.rename(name, "new"),
    ]


def test_what_is_no_name_is_refused_everywhere(store, tmp_path):
    store.put("raw", RAW)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for name in BAD_NAMES:
        for use in uses_of(store, name):
            with pytest.raises(ConfigError) as caught:
                use()
            assert caught.value.code == "DL133", name
        assert name not in store
        assert store.document(name) is None
    assert store.names() == ("raw",)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_names_are_in_normal_form_c(store):
    composed, decomposed = "m\u00e9rou", unicodedata.normalize("NFD", "m\u00e9rou")
    store.put(decomposed, RAW)
    assert store.names() == (composed,)
    assert store.config(decomposed) == store.config(composed) == RAW
    assert decomposed in store
    with pytest.raises(ConfigError, match="already"):
        store.put(composed, RAW)
    store.rename(decomposed, "other")
    assert store.names() == ("other",)


@pytest.mark.parametrize("overwrite", [False, True])
def test_names_that_differ_in_case_exclude_each_other(store, overwrite):
    store.put("Straße", RAW)
    for name in ("straße", "STRASSE"):
        with pytest.raises(ConfigError, match="differs in case only") as caught:
            store.put(name, RAW, overwrite=overwrite)
        assert "'Straße'" in str(caught.value)
    store.put("raw", RAW)
    with pytest.raises(ConfigError, match="differs in case only"):
        store.rename("raw", "STRASSE")
    store.rename("Straße", "straße")
    assert store.names() == ("raw", "straße")


def test_what_is_not_there_is_said_with_what_was_meant(store):
    store.put("membrane", RAW)
    for fail in (
        lambda: store.config("membrnae"),
        lambda: store.delete("membrnae"),
        lambda: store.rename("membrnae", "x"),
    ):
        with pytest.raises(ConfigError, match="did you mean 'membrane'") as caught:
            fail()
        assert caught.value.code == "DL107"
    assert store.names() == ("membrane",)


def test_renaming_onto_another_is_refused(store):
    store.put("a", RAW)
    store.put("b", OnesArrayConfig(source_array_config=RAW))
    with pytest.raises(ConfigError, match="already"):
        store.rename("a", "b")
    assert store.config("a") == RAW
    assert store.config("b") != RAW
    store.rename("a", "c")
    assert store.names() == ("b", "c")
    assert store.config("c") == RAW


def test_references_by_name_stay_references(store):
    store.put("raw", RAW)
    store.put("ones", {"type": "ones", "source": "raw"})
    assert store.text("ones") == "type: ones\nsource: raw\n"
    assert store.config("ones") == OnesArrayConfig(source_array_config=RAW)
    assert store.config("ones").source_array_config.name == "raw"
    store.put("raw", attrs.evolve(RAW, dataset="other"), overwrite=True)
    assert store.config("ones").source_array_config.dataset == "other"


def test_what_others_refer_to_is_not_deleted_or_renamed_unless_by_force(store):
    store.put("raw", RAW)
    store.put("raw2", RAW)
    store.put("ones", {"type": "ones", "source": "raw"})
    assert store.users("raw") == ("ones",)
    assert store.users("raw2") == ()
    for refused in (lambda: store.delete("raw"), lambda: store.rename("raw", "em")):
        with pytest.raises(ConfigError, match="as in ones") as caught:
            refused()
        assert caught.value.code == "DL135"
    store.rename("raw", "em", force=True)
    with pytest.raises(InvalidDocumentError) as broken:
        store.config("ones")
    (problem,) = broken.value.problems
    assert (problem.code, problem.key) == ("DL107", "source")
    store.delete("em", force=True)
    assert store.names() == ("ones", "raw2")


def test_search_finds_names_and_documents_in_whichever_case(store):
    store.put("Mito", RAW)
    store.put("ones", OnesArrayConfig(source_array_config=RAW))
    store.put("other", ZarrArrayConfig(file_name="/data/mouse.zarr"))
    assert store.search("mITO") == ("Mito",)
    assert store.search("FLY.zarr") == ("Mito", "ones")
    assert store.search("schema") == ()
    assert store.search("") == ("Mito", "ones", "other")


def test_a_mapping_with_problems_is_refused_and_nothing_is_put(store):
    with pytest.raises(InvalidDocumentError) as caught:
        store.put("bad", {"type": "binarise", "source": "raw"})
    assert [problem.code for problem in caught.value.problems] == ["DL101"]
    with pytest.raises(InvalidDocumentError):
        store.put("bad", {"arrays": {"a": {"type": "zarr", "file_name": "a.zarr"}}})
    with pytest.raises(InvalidDocumentError, match="no array of this name"):
        store.put("bad", {"type": "ones", "source": "nothing"})
    with pytest.raises(ConfigError, match="in memory"):
        store.put("bad", dacapo_like.from_numpy([[1]]).config)
    assert store.names() == ()


def test_several_are_put_with_references_and_all_or_none(store):
    ones = OnesArrayConfig(source_array_config=RAW)
    crop = CropArrayConfig(source_array_config=ones, roi=Roi((0, 0), (4, 4)))
    store.put_all({"crop": crop, "ones": ones, "raw": RAW})
    assert store.text("crop").startswith("type: crop\nsource: ones\n")
    assert store.text("ones") == "type: ones\nsource: raw\n"
    assert store.config("crop") == crop
    for taken in ("raw", "RAW"):
        with pytest.raises(ConfigError) as caught:
            store.put_all({"new": RAW, taken: RAW})
        assert caught.value.code == "DL132"
    with pytest.raises(ConfigError, match="differs in case"):
        store.put_all({"new": RAW, "New": RAW})
    with pytest.raises(ConfigError, match="already"):
        store.put_all({"\u00e9": RAW, "e\u0301": RAW})
    assert store.names() == ("crop", "ones", "raw")
    store.put_all({"raw": DummyArrayConfig(), "new": RAW}, overwrite=True)
    assert store.config("raw") == DummyArrayConfig()


def test_arrays_open(store, configs):
    store.put(
        "em", {"type": "zarr", "file_name": str(configs / "data" / "em.zarr"), "dataset": "raw"}
    )
    store.put("ones", {"type": "ones", "source": "em"})
    assert store.array("ones").shape == store.array("em").shape


def test_every_array_is_verified_and_problems_name_store_array_and_line(store, configs):
    em = {"type": "zarr", "file_name": str(configs / "data" / "em.zarr"), "dataset": "raw"}
    store.put("em", em)
    store.put("ones", {"type": "ones", "source": "em"})
    assert store.verify() == []
    store.put("gone", em | {"dataset": "nothing"})
    store.put("user", {"type": "ones", "source": "gone"})  # nothing is wrong with this one itself
    store.delete("em", force=True)
    found = [(each.path, each.line, each.column, each.key, each.code) for each in store.verify()]
    gone, ones = map(store.place, ("gone", "ones"))
    first = 1 if "://" in store.url else 2  # a file has a line for editors above
    assert found == [
        (gone, first + 2, 10, "dataset", "DL201"),
        (ones, first + 1, 9, "source", "DL107"),
    ]
    assert all(place.startswith(store.url) for place in (gone, ones))


def test_stores_pickle_and_compare(store, url):
    store.put("raw", RAW)
    again = pickle.loads(pickle.dumps(store))
    assert again == store == ConfigStore(url)
    assert hash(again) == hash(store)
    assert again.config("raw") == RAW
    assert store.url in repr(store)


@pytest.mark.slow
def test_of_eight_processes_that_put_the_same_forty_names_each_gets_its_own_and_forty_are_left(
    store, url
):
    names = [f"array {i:02}" for i in range(40)]
    said = run("race.py", url, json.dumps(names))
    assert sorted(name for won in said["won"] for name in won) == names
    assert said["read"]
    assert store.names() == tuple(names)
    for number, won in enumerate(said["won"]):
        assert {store.config(name).file_name for name in won} <= {f"/data/{number}.zarr"}


@pytest.mark.slow
def test_killed_at_any_point_the_old_or_the_new_is_there_and_nobody_ever_sees_anything_else(url):
    said = run("kill.py", url, json.dumps(KILLED))
    for change, count in KILLED.items():
        found = said["changes"][change]
        assert found["killed"] == count
        assert min(found["before"], found["after"]) > 0
    assert said["read"]
    assert said["left_over"] == 0
