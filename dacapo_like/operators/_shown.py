"""What viewers are told of channels, when these get other names or another order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dacapo_like.spec import ArraySpec


def with_channels_shown(source: ArraySpec, names: Iterable[tuple[str, str]]) -> Mapping[str, Any]:
    """Give the attributes of an array with what its ``omero`` says of some channels, under new names.

    Parameters
    ----------
    source : ArraySpec
        Its channels are known by the label that ``omero`` has for them, else by their place there.
    names : iterable of pairs of str
        Of each channel, in their new order: what it was called, and what it is called now.

    Examples
    --------
    >>> from dacapo_like.spec import from_shape
    >>> shown = {"channels": [{"label": "DAPI", "color": "0000FF"}, {"label": "GFP", "color": "00FF00"}]}
    >>> source = from_shape((2, 4, 4), axes="cyx", channels=("DAPI", "GFP"), attrs={"omero": shown})
    >>> with_channels_shown(source, [("GFP", "membrane")])
    {'omero': {'channels': [{'label': 'membrane', 'color': '00FF00'}]}}
    """
    omero = source.attrs.get("omero", {})
    known = {
        str(channel.get("label") or i): channel
        for i, channel in enumerate(omero.get("channels", ()))
    }
    shown = [{**known[old], "label": new} for old, new in names if old in known]
    return {**source.attrs, "omero": {**omero, "channels": shown}} if shown else source.attrs
