"""``dacapo-like store …``: arrays by name; and the option ``--store`` of the commands that read documents."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dacapo_like.errors import ConfigError, DacapoLikeError, InvalidDocumentError, Problem

if TYPE_CHECKING:
    from dacapo_like.config.verify import Stored
    from dacapo_like.core import ArrayConfig
    from dacapo_like.stores import ConfigStore

Command = TypeVar("Command", bound=Callable[..., Any])

_META = "dacapo_like.store"
_URL = "a folder, sqlite:///FILE, postgresql://… or mongodb://…; by default the one of DACAPO_LIKE_STORE or dacapo-like.toml."


def store_option(command: Command) -> Command:
    """Let a command take ``--store URL``, for `store_near`."""
    option = click.option(
        "--store",
        metavar="URL",
        help=f"Where arrays are that documents refer to: {_URL}",
        expose_value=False,
        callback=_keep_url,
    )
    return option(command)


def _keep_url(context: click.Context, _: click.Parameter, url: str | None) -> None:
    context.meta[_META] = url


def store_near(document: Path) -> ConfigStore | None:
    """Open the store that the command was given, else the one that is chosen for a document; ``None``: none is."""
    from dacapo_like.stores import ConfigStore
    from dacapo_like.stores.opening import backend_of, chosen_url

    url = click.get_current_context().meta[_META]
    if url is not None:
        return ConfigStore(url)
    folder = document if document.is_dir() else document.parent
    chosen = chosen_url(folder)
    return None if chosen is None else ConfigStore(backend_of(*chosen))


def targets_of(paths: Iterable[str]) -> Sequence[Path | Stored]:
    """Give the documents that paths name, those of folders, and every array of the stores that URLs name.

    Without paths, and URLs, it is the store that the command was given, else the chosen one, of which they are every array.
    """
    from dacapo_like.config.watching import documents_in
    from dacapo_like.stores import ConfigStore
    from dacapo_like.stores.opening import chosen_url, is_url

    named = list(paths)
    if not named:
        url = click.get_current_context().meta[_META]
        if url is None and chosen_url() is None:
            raise click.UsageError("what to verify: documents, folders, or the URL of a store")
        return _stored_in(ConfigStore(url))
    found: list[Path | Stored] = []
    for path in named:
        found.extend(_stored_in(ConfigStore(path)) if is_url(path) else documents_in([Path(path)]))
    return list(dict.fromkeys(found))


def documents_of(paths: Iterable[str]) -> list[Path]:
    """Give the documents that paths name, and those of folders: what can be watched."""
    targets = targets_of(paths)
    documents = [target for target in targets if isinstance(target, Path)]
    if len(documents) < len(targets):
        raise click.UsageError("--watch looks at documents and folders, not at stores")
    return documents


def texts_of(targets: Iterable[Path | Stored], problems: Iterable[Problem]) -> dict[str, str]:
    """Give the texts of the arrays in databases that have problems, by their places."""
    from dacapo_like.stores import ConfigStore
    from dacapo_like.stores.opening import is_url

    faulty = {problem.path for problem in problems if problem.line is not None}
    texts = {}
    for target in targets:
        place = str(target)
        if isinstance(target, Path) or place not in faulty or not is_url(place):
            continue
        if isinstance(target.store, ConfigStore):
            texts[place] = target.store.text(target.name) or ""
    return texts


def _stored_in(store: ConfigStore) -> list[Stored]:
    from dacapo_like.config.verify import Stored

    names = store.names()
    if not names:
        raise ConfigError("there are no arrays in the store", where=store.url)
    return [Stored(name, store) for name in names]


_THE_STORE = click.option("--store", "url", metavar="URL", help=f"The store: {_URL}")


@click.group(name="store")
def store_group() -> None:
    """Keep arrays by name: in a folder of YAML files, or in a database."""


@store_group.command(name="list")
@_THE_STORE
def list_names(url: str | None) -> None:
    """List the arrays of the store by name, with their types."""
    store = _store(url)
    names = store.names()
    width = max(map(len, names), default=0)
    for name in names:
        click.echo(f"{name:<{width}}  {_type_of(store, name)}")
    if not names:
        click.echo(f"no arrays in {store.url}", err=True)


@store_group.command()
@click.argument("name")
@click.option(
    "--resolved", is_flag=True, help="With what it refers to in the place of the references."
)
@_THE_STORE
def show(name: str, url: str | None, *, resolved: bool) -> None:
    """Print the document of an array."""
    store = _store(url)
    if resolved:
        from dacapo_like.config.loading import dump

        click.echo(dump(store.config(name)), nl=False)
        return
    text = store.text(name)
    if text is None:
        store.loaded(name)  # says what there is
    click.echo(text, nl=False)


@store_group.command()
@click.argument("name")
@click.argument("document", type=click.Path(path_type=Path, allow_dash=True))
@click.argument("array", required=False)
@click.option("--overwrite", is_flag=True, help="Replace the array of this name, if there is one.")
@_THE_STORE
def put(name: str, document: Path, array: str | None, url: str | None, *, overwrite: bool) -> None:
    """Keep the array of a document under NAME; of several, the one called ARRAY. A dash reads YAML from standard input."""
    from dacapo_like.config.document import parse_document, read_document

    store = _store(url)
    read = (
        parse_document(sys.stdin.read(), path="<stdin>")
        if str(document) == "-"
        else read_document(document)
    )
    if array is None:
        store.put(name, read, overwrite=overwrite)
    else:
        configs = _arrays_of(document, store)
        if array not in configs:
            from dacapo_like.experiment import no_such_array

            raise no_such_array(array, configs)
        store.put(name, configs[array], overwrite=overwrite)
    click.echo(f"wrote {store.place(name)}")


@store_group.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Delete also what others refer to.")
@_THE_STORE
def delete(names: tuple[str, ...], url: str | None, *, force: bool) -> None:
    """Delete arrays from the store; their voxels stay where they are."""
    store = _store(url)
    for name in names:
        store.delete(name, force=force)
        click.echo(f"deleted {name}")


@store_group.command()
@click.argument("old")
@click.argument("new")
@click.option("--force", is_flag=True, help="Rename also what others refer to.")
@_THE_STORE
def rename(old: str, new: str, url: str | None, *, force: bool) -> None:
    """Give an array of the store another name."""
    _store(url).rename(old, new, force=force)
    click.echo(f"renamed {old} to {new}")


@store_group.command()
@click.argument("text")
@_THE_STORE
def search(text: str, url: str | None) -> None:
    """List the arrays whose name or document contains TEXT. Exit code 1: there are none."""
    found = _store(url).search(text)
    for name in found:
        click.echo(name)
    sys.exit(0 if found else 1)


@store_group.command(name="import")
@click.argument("origin", metavar="FROM")
@click.argument("names", nargs=-1)
@click.option("--overwrite", is_flag=True, help="Replace arrays that are there already.")
@click.option("--skip-broken", is_flag=True, help="Leave out arrays that have problems.")
@_THE_STORE
def import_arrays(
    origin: str,
    names: tuple[str, ...],
    url: str | None,
    *,
    overwrite: bool,
    skip_broken: bool,
) -> None:
    """Copy arrays, all or those named: of a document, or of another store, DaCapo's too.

    FROM is a document with one or several arrays, a folder of documents, or the URL of a store. References by name stay references.
    """
    store = _store(url)
    found: dict[str, ArrayConfig] = {}
    broken: list[str] = []
    for name, config in _configs_of(origin, names, store):
        if isinstance(config, DacapoLikeError):
            broken.append(f"{name}: {_said(config)}")
        else:
            found[name] = config
    for line in broken:
        click.echo(line, err=True)
    if broken and not skip_broken:
        count = f"{len(broken)} of {len(broken) + len(found)} arrays"
        raise click.ClickException(
            f"{count} cannot be imported, and nothing was; --skip-broken leaves them out"
        )
    store.put_all(found, overwrite=overwrite)
    left_out = f", {len(broken)} left out" if broken else ""
    click.echo(f"imported {len(found)} array{'s' if len(found) != 1 else ''}{left_out}")


def _store(url: str | None) -> ConfigStore:
    from dacapo_like.stores import ConfigStore

    return ConfigStore(url)


def _type_of(store: ConfigStore, name: str) -> str:
    from dacapo_like.config.dacapo import class_of

    try:
        document = (
            store.document(name) or store.loaded(name).document
        )  # which says why there is none
        return class_of(document.data).tag
    except DacapoLikeError as error:
        return f"({error.code}: {error.what})"


def _arrays_of(path: Path, store: ConfigStore) -> dict[str, ArrayConfig]:
    """Read the arrays of a document by name; names that it does not have are looked up in the store."""
    from dacapo_like.config.dataset import ExperimentConfig
    from dacapo_like.config.loading import load_config

    config = load_config(path, store=store)
    if isinstance(config, ExperimentConfig):
        return dict(config.arrays)
    return {config.name or path.stem: config}


def _configs_of(
    origin: str, names: tuple[str, ...], store: ConfigStore
) -> Iterator[tuple[str, ArrayConfig | DacapoLikeError]]:
    """Give the arrays of a document or another store by name, or what is wrong with them."""
    path = Path(origin)
    if path.is_file():
        arrays = _arrays_of(path, store)
        for name in names or arrays:
            yield name, arrays[name] if name in arrays else _not_in(origin, arrays)
        return
    other = _store(origin)
    if not (names or other.names()):
        raise ConfigError(
            "nothing to import",
            where=other.url,
            expected="a document, or a store with arrays",
            hint=f"did you mean '{path / 'arrays'}'?" if (path / "arrays").is_dir() else None,
        )
    for name in names or other.names():
        try:
            yield name, other.config(name)
        except DacapoLikeError as error:
            yield name, error


def _not_in(origin: str, arrays: dict[str, ArrayConfig]) -> ConfigError:
    known = ", ".join(arrays)
    return ConfigError("no array of this name", expected=f"one of {known}", where=origin)


def _said(error: DacapoLikeError) -> str:
    """Give all that an error says, in lines."""
    if isinstance(error, InvalidDocumentError):
        return "\n".join(map(str, error.problems))
    return str(error)
