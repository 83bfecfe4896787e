"""``dacapo-like serve`` and ``view``: arrays over HTTP, and in Neuroglancer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dacapo_like.cli_stores import store_near, store_option
from dacapo_like.errors import ConfigError, MissingExtraError, did_you_mean

if TYPE_CHECKING:
    from dacapo_like.core import Array
    from dacapo_like.serving import Catalog

_PORT = click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="By default any that is free."
)


@click.command()
@click.argument("target")
@click.argument("names", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="Any other needs a token.")
@_PORT
@click.option("--token", help="That clients have to show; `new` makes one.")
@click.option(
    "--allow-origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="Let pages of another host read it, `*` for all; pages of this machine may. May be given many times.",
)
@click.option(
    "--readers", type=click.IntRange(1), default=4, show_default=True, help="Chunks at a time."
)
@store_option
def serve(target: str, names: tuple[str, ...], **options: Any) -> None:
    """Serve arrays as OME-Zarr over HTTP, made when it is asked for; Ctrl-C ends it.

    TARGET is a document, or the URL of a store; NAMES are those of arrays in it, by default all.
    """
    server = _serving().Server(_catalog(target, names), **options)
    _log()
    click.echo(f"serving {', '.join(names) or 'all arrays'} of {target} at {server.url}")
    server.run()


@click.command()
@click.argument("target")
@click.argument("names", nargs=-1)
@click.option(
    "--screenshot",
    type=click.Path(path_type=Path),
    help="Draw the page into this PNG file, with a browser that is not seen, and end.",
)
@click.option("--size", type=(int, int), default=(1280, 960), help="With --screenshot: width, height.")  # fmt: skip
@click.option("--open/--no-open", "opens", default=True, help="Whether to open the browser.")
@_PORT
@store_option
def view(
    target: str,
    names: tuple[str, ...],
    screenshot: Path | None,
    size: tuple[int, int],
    port: int,
    *,
    opens: bool,
) -> None:
    """Show arrays in Neuroglancer, over each other in the world; Ctrl-C ends it.

    TARGET is a document, or the URL of a store; NAMES are those of arrays in it, by default all. Images, labels and masks are layers
    of their kinds.
    """
    _serving()
    from dacapo_like.viewing import View

    _log()
    with View(_catalog(target, names), port=port) as viewer:
        if screenshot is not None:
            click.echo(f"wrote {viewer.screenshot(screenshot, size)}")
            return
        click.echo(f"{viewer.url}\nCtrl-C ends it", err=False)
        if opens:
            viewer.open()
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            click.echo("", err=True)


def _serving() -> Any:
    try:
        import dacapo_like.serving as found
    except ImportError as error:
        raise MissingExtraError(
            "a package that serves arrays is not installed",
            got=error.name,
            hint="pip install 'dacapo_like[serve]'",
        ) from error
    return found


def _log() -> None:
    """Show what goes wrong with a request."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)


def _catalog(target: str, names: tuple[str, ...]) -> Catalog:
    """Find what is to be served; documents are read now, arrays are opened when they are asked for."""
    openers = _openers(target)
    for name in names:
        if name not in openers:
            raise ConfigError(
                "no array of this name",
                got=repr(name),
                expected=f"one of {', '.join(openers)}",
                where=target,
                hint=did_you_mean(name, openers),
            )
    found: Catalog = _serving().Catalog({name: openers[name] for name in names or openers})
    return found


def _openers(target: str) -> Mapping[str, Callable[[], Array]]:
    from dacapo_like.core import ArrayConfig
    from dacapo_like.experiment import load
    from dacapo_like.stores import ConfigStore
    from dacapo_like.stores.opening import is_url

    if is_url(target):
        store = ConfigStore(target)
        return {name: partial(store.array, name) for name in store.names()}
    path = Path(target)
    loaded = load(path, store=store_near(path))
    if isinstance(loaded, ArrayConfig):
        return {loaded.name or path.stem: loaded.array}
    return {name: config.array for name, config in loaded.config.arrays.items()}
