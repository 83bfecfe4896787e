"""Which store is meant, and where file names in it start."""

from __future__ import annotations

import sys

import pytest

from dacapo_like import ConfigStore, ZarrArrayConfig
from dacapo_like.errors import ConfigError, MissingExtraError, StoreError


def test_a_folder_is_named_in_three_ways(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stores = [ConfigStore(url) for url in ("a", "dir:a", f"dir://{tmp_path}/a", tmp_path / "a")]
    assert {store.url for store in stores} == {str(tmp_path / "a")}


def test_the_environment_chooses_then_the_nearest_settings(tmp_path, monkeypatch):
    inner = tmp_path / "project" / "inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    with pytest.raises(ConfigError, match="no store is chosen") as caught:
        ConfigStore()
    assert "DACAPO_LIKE_STORE" in str(caught.value)
    (tmp_path / "project" / "dacapo-like.toml").write_text('store = "arrays"\n')
    assert ConfigStore().url == str(tmp_path / "project" / "arrays")
    (inner / "dacapo-like.toml").write_text('store = "sqlite:///mine.db"\n')
    assert ConfigStore().url == f"sqlite:///{inner / 'mine.db'}"
    monkeypatch.setenv("DACAPO_LIKE_STORE", "elsewhere")
    assert ConfigStore().url == str(inner / "elsewhere")
    assert ConfigStore("named").url == str(inner / "named")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlit:///a.db", "did you mean 'sqlite'"),
        ("http://example.org", "no store has such a URL"),
        ("mysql://localhost/a", "no store has such a URL"),
        ("sqlite://", "forgotten at once"),
        ("mongodb://localhost", "names no database"),
    ],
)
def test_urls_of_no_store(url, said):
    with pytest.raises(ConfigError, match=said):
        ConfigStore(url)


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("sqlite:///a.db", "sqlalchemy", "sql"),
        ("postgresql://h/a", "sqlalchemy", "sql"),
        ("mongodb://h/a", "pymongo", "mongo"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(url, module, extra, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"dacapo_like\[{extra}\]"):
        ConfigStore(url)


def test_passwords_are_shown_nowhere():
    for url in (
        "postgresql://me:hunter2@127.0.0.1:1/arrays",
        "mongodb://me:hunter2@127.0.0.1:1/arrays?serverSelectionTimeoutMS=50",
    ):
        store = ConfigStore(url)
        assert "hunter2" not in repr(store)
        with pytest.raises(StoreError) as caught:
            store.names()
        assert "hunter2" not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)


def test_a_file_that_is_no_database_is_an_error(tmp_path):
    (tmp_path / "a.db").write_text("not a database, but long enough to look at" * 100)
    with pytest.raises(StoreError, match="not a database"):
        ConfigStore(f"sqlite:///{tmp_path / 'a.db'}").names()


def test_roots_let_a_config_move(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "dacapo-like.toml"
    settings.write_text('[roots]\nfly = "/nrs/fly"\nweb = "https://example.org/data/"\n')
    store = ConfigStore(url)
    store.put("a", ZarrArrayConfig(file_name="/nrs/fly/a.zarr"))
    store.put("b", {"type": "zarr", "file_name": "${root:web}/b.zarr"})
    store.put("c", ZarrArrayConfig(file_name="/nrs/flying/c.zarr"))
    assert "file_name: ${root:fly}/a.zarr\n" in store.text("a")
    assert "file_name: ${root:web}/b.zarr\n" in store.text("b")
    assert "file_name: /nrs/flying/c.zarr\n" in store.text("c")
    assert store.config("b").file_name == "https://example.org/data/b.zarr"
    settings.write_text('[roots]\nfly = "here"\nweb = "/web"\n')
    assert store.config("a").file_name == str(tmp_path / "here" / "a.zarr")
    assert store.config("b").file_name == "/web/b.zarr"
