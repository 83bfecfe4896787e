"""What this package writes into an annotation of an OME-TIFF, because OME has no place for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import attrs

from dacapo_like.errors import SourceError
from dacapo_like.record import NAMESPACE
from dacapo_like.sources.layout import Stored, stored_from_attributes


def annotation_in(root: ET.Element) -> Mapping[str, Any]:
    """Give the attributes that are written as JSON; none where the file is not ours.

    Raises
    ------
    ValueError
        They are not JSON.
    """
    for element in root.iter():
        if element.tag.endswith("}CommentAnnotation") and element.get("Namespace") == NAMESPACE:
            found = json.loads("".join(element.itertext()))
            return found if isinstance(found, dict) else {}
    return {}


def annotated_axes(annotation: Mapping[str, Any]) -> frozenset[str]:
    """Give the names of the axes that the array had."""
    names = annotation.get("axis_names")
    listed = names if isinstance(names, list) else ()
    return frozenset(str(name).removesuffix("^") for name in listed)


def with_annotation(stored: Stored, annotation: Mapping[str, Any], where: str) -> Stored:
    """Add offset, directions, kind, and the exact voxel size, if that was not changed since.

    Raises
    ------
    SourceError
        The annotation is not what this package writes.
    """
    if not annotation or annotated_axes(annotation) != frozenset(stored.axes or ()):
        return stored
    ours = stored_from_attributes(annotation, stored.shape, stored.dtype, None, where)
    if ours.axes != stored.axes or ours.voxel_size is None or stored.voxel_size is None:
        return stored
    if len(ours.voxel_size) != len(stored.voxel_size):
        raise SourceError("the annotation does not fit the image", got=annotation, where=where)
    same = list(map(float, ours.voxel_size)) == list(map(float, stored.voxel_size))
    return attrs.evolve(
        stored,
        voxel_size=ours.voxel_size if same else stored.voxel_size,
        offset=ours.offset,
        units=ours.units if same else stored.units,
        directions=ours.directions,
        kind=ours.kind,
    )
