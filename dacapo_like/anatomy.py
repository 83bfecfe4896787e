"""Anatomical words for the directions of axes: of OME-NGFF's RFC-4, and the letters of NIfTI.

The world is right-anterior-superior: x grows to the right, y to the front, z upward.
"""

from __future__ import annotations

from collections.abc import Sequence

from dacapo_like.errors import SourceError
from dacapo_like.spec import Directions

_TOWARDS = {
    "left-to-right": ("x", 1, "R"),
    "right-to-left": ("x", -1, "L"),
    "posterior-to-anterior": ("y", 1, "A"),
    "anterior-to-posterior": ("y", -1, "P"),
    "inferior-to-superior": ("z", 1, "S"),
    "superior-to-inferior": ("z", -1, "I"),
}
_WORD_OF = {(axis, sign): word for word, (axis, sign, _) in _TOWARDS.items()}
_WORD_OF_LETTER = {letter: word for word, (_, _, letter) in _TOWARDS.items()}


def words_of_code(code: str, axes: Sequence[str]) -> tuple[str | None, ...]:
    """Give the word of each axis from a code with a letter for each of x, y and z.

    Raises
    ------
    SourceError
        It is no such code.

    Examples
    --------
    >>> words_of_code("LAS", ("z", "y", "x"))
    ('inferior-to-superior', 'posterior-to-anterior', 'right-to-left')
    """
    if not is_code(code):
        raise SourceError(
            "not an anatomical orientation",
            got=repr(code),
            expected="three letters, one each of R or L, A or P, S or I",
        )
    letters = dict(zip("xyz", code.upper(), strict=True))
    return tuple(_WORD_OF_LETTER[letters[axis]] if axis in letters else None for axis in axes)


def is_code(value: object) -> bool:
    """Whether a value is such as ``RAS``."""
    if not isinstance(value, str) or not set(value.upper()) <= set(_WORD_OF_LETTER):
        return False
    return sorted(_TOWARDS[_WORD_OF_LETTER[letter]][0] for letter in value.upper()) == [*"xyz"]


def directions_of(words: Sequence[str | None], axes: Sequence[str]) -> Directions | None:
    """Give the unit vectors of axes; ``None`` where they are the world's own, or the words do not say.

    They say nothing where one is missing, has no place in the world's x, y and z (as ``dorsal-to-ventral``), or points out
    of the space of the axes, and where two name the same direction.

    Examples
    --------
    >>> directions_of(("posterior-to-anterior", "right-to-left"), ("y", "x"))
    ((1.0, 0.0), (0.0, -1.0))
    """
    known = [_TOWARDS.get(word or "") for word in words]
    along = [towards[0] for towards in known if towards is not None]
    if sorted(along) != sorted(axes):
        return None
    vectors = tuple(
        tuple(float(towards[1]) if axis == towards[0] else 0.0 for axis in axes)
        for towards in known
        if towards is not None
    )
    own = tuple(tuple(float(i == j) for j in range(len(axes))) for i in range(len(axes)))
    return None if vectors == own else vectors


def words_of(directions: Directions | None, axes: Sequence[str]) -> tuple[str, ...] | None:
    """Give the word of each axis of an anatomical world; ``None`` where one is not along an axis of it.

    Examples
    --------
    >>> words_of(None, ("y", "x"))
    ('posterior-to-anterior', 'left-to-right')
    """
    if not set(axes) <= set("xyz"):
        return None
    if directions is None:
        return tuple(_WORD_OF[axis, 1] for axis in axes)
    words = []
    for vector in directions:
        along = [(axis, part) for axis, part in zip(axes, vector, strict=True) if part]
        if len(along) != 1 or abs(along[0][1]) != 1:
            return None
        words.append(_WORD_OF[along[0][0], int(along[0][1])])
    return tuple(words)


def is_anatomical(words: Sequence[str | None]) -> bool:
    """Whether words name directions of the world's x, y and z."""
    return bool(words) and set(words) <= set(_TOWARDS)
