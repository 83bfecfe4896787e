"""``dacapo-like.toml``: found above, read strictly."""

from __future__ import annotations

import pytest

import dacapo_like
from dacapo_like.config.project import project_of
from dacapo_like.errors import ConfigError, DocumentError


@pytest.fixture
def settings(tmp_path):
    return tmp_path / "dacapo-like.toml"


def test_the_nearest_file_above_counts(settings, tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    settings.write_text('store = "arrays"\n[roots]\ndata = "d"\nweb = "s3://b/"\nfar = "/x"\n')
    project = project_of(inner)
    assert (project.file, project.store) == (settings, "arrays")
    assert dict(project.roots) == {"data": str(tmp_path / "d"), "web": "s3://b", "far": "/x"}
    (tmp_path / "a" / "dacapo-like.toml").write_text("")
    assert project_of(inner).store is None
    assert project_of(inner).directory == tmp_path / "a"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ('stor = "a"\n', "1:1", "did you mean 'store'"),
        ("store = 3\n", "1:9", "`store`"),
        ('store = ""\n', "1:9", "`store`"),
        ('[roots]\na = ["/x"]\n', "2:5", "`roots.a`"),
        ("roots = 3\n", "1:9", "a table"),
    ],
)
def test_what_it_cannot_say_is_refused_with_the_place(settings, text, place, said):
    settings.write_text(text)
    with pytest.raises(ConfigError) as caught:
        project_of(settings.parent)
    assert caught.value.where == f"{settings}:{place}"
    assert said in str(caught.value)


def test_what_is_no_toml_is_refused(settings):
    settings.write_text("store = \n")
    with pytest.raises(DocumentError, match=r"dacapo-like\.toml:1"):
        project_of(settings.parent)


def test_file_names_of_documents_may_begin_with_a_root(settings, tmp_path):
    settings.write_text('[roots]\ndata = "data"\nweb = "https://example.org/"\n')
    path = tmp_path / "doc.yaml"

    def file_name(text):
        path.write_text(f"type: zarr\nfile_name: {text}\n")
        return dacapo_like.load(path).file_name

    assert file_name('"${root:data}/a.zarr"') == str(tmp_path / "data" / "a.zarr")
    assert file_name('"${root:data}"') == str(tmp_path / "data")
    assert file_name('"${root:web}/a.zarr"') == "https://example.org/a.zarr"
    path.write_text('type: zarr\nfile_name: "${root:date}/a.zarr"\n')
    (problem,) = dacapo_like.verify(path)
    assert (problem.line, problem.column, problem.code) == (2, 12, "DL134")
    assert problem.hint == "did you mean 'data'?"
    settings.unlink()
    (problem,) = dacapo_like.verify(path)
    assert "an entry of [roots] in dacapo-like.toml" in problem.message
