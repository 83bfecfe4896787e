"""Affine transforms as files hold them: ITK's text and MATLAB files, and plain matrices of numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from dacapo_like.endless import refuse_endless
from dacapo_like.errors import SourceError
from dacapo_like.geometry import exact
from dacapo_like.transforms.matrix import Matrix, identity, matrix_of, product

Convention = Literal["ras", "lps", "fsl"]
Numbers = Sequence[float]

_HEADER = "#Insight Transform File"
_KIND = re.compile(r"(\w+?)_(?:double|float)_([23])_\2")
_MOST_BYTES = 2**20
_HDF5 = b"\x89HDF"


class FileAffine(NamedTuple):
    """What a file says.

    Attributes
    ----------
    matrix : Matrix
        Homogeneous, of points in the order x, y, z.
    convention : {"ras", "lps"}
        How its points are written, unless the file's reader knows better.
    """

    matrix: Matrix
    convention: Convention


def read_affine(file_name: str) -> FileAffine:
    """Read an affine transform.

    Parameters
    ----------
    file_name : str
        ITK's text (which ANTs and SimpleITK write as ``.txt`` and ``.tfm``), its binary ``.mat``, or plain rows of numbers, 4x4 for
        volumes or 3x3 for planes.

    Raises
    ------
    SourceError
        The file cannot be read, is none of these, or holds a transform that is not affine.
    """
    refuse_endless(file_name)
    try:
        with Path(file_name).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SourceError("cannot open the file", got=error.strerror, where=file_name) from error
    if len(content) > _MOST_BYTES:
        raise _not_a_transform(file_name, f"more than {_MOST_BYTES} bytes")
    if content.startswith(_HDF5):
        raise SourceError(
            "ITK's transforms in HDF5 are not read",
            expected="its text or .mat file",
            where=file_name,
            hint="`CompositeTransformUtil --disassemble` of ANTs makes a file of each",
        )
    if b"\0" in content:
        return FileAffine(_from_matlab(file_name), "lps")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise _not_a_transform(file_name, "neither text nor a MATLAB file") from error
    if text.startswith(_HEADER):
        return FileAffine(_from_itk_text(text, file_name), "lps")
    return FileAffine(_from_rows(text, file_name), "ras")


def _not_a_transform(file_name: str, got: str) -> SourceError:
    return SourceError(
        "not an affine transform that can be read",
        got=got,
        expected="ITK's text or .mat file, or a plain matrix of 4x4 or 3x3 numbers",
        where=file_name,
    )


def _from_rows(text: str, file_name: str) -> Matrix:
    try:
        rows = [
            [float(word) for word in line.split()] for line in text.splitlines() if line.strip()
        ]
    except ValueError as error:
        raise _not_a_transform(file_name, "text that is no matrix") from error
    if len(rows) not in (3, 4) or {len(rows), *map(len, rows)} != {len(rows)}:
        raise _not_a_transform(file_name, f"rows of {[len(row) for row in rows][:9]} numbers")
    if not all(math.isfinite(value) for row in rows for value in row):
        raise _not_a_transform(file_name, "numbers that are not finite")
    if rows[-1] != [0.0] * (len(rows) - 1) + [1.0]:
        raise _not_a_transform(file_name, f"a last row of {rows[-1]}, not of zeros and 1")
    return matrix_of(rows)


def _from_itk_text(text: str, file_name: str) -> Matrix:
    """Read the transforms of a file; those of a composite one are applied from the last to the first."""
    kinds: list[dict[str, str]] = []
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == "Transform":
            kinds.append({"kind": value.strip()})
        elif key in ("Parameters", "FixedParameters") and kinds:
            kinds[-1][key] = value
    parts = kinds[1:] if kinds and kinds[0]["kind"].startswith("CompositeTransform") else kinds
    if not parts or (parts is kinds and len(parts) > 1):
        raise _not_a_transform(file_name, f"{len(parts)} transforms that are no composite")
    matrices = []
    for part in parts:
        try:
            numbers, fixed = (
                [float(word) for word in part.get(key, "").split()]
                for key in ("Parameters", "FixedParameters")
            )
        except ValueError as error:
            raise _not_a_transform(file_name, "parameters that are no numbers") from error
        matrices.append(_itk_matrix(part["kind"], numbers, fixed, file_name))
    if len({len(matrix) for matrix in matrices}) != 1:
        raise _not_a_transform(file_name, "transforms of different dimensions")
    return product(*matrices)


def _from_matlab(file_name: str) -> Matrix:
    from scipy.io import loadmat  # heavy

    try:
        found: Mapping[str, object] = loadmat(file_name)
        values = {
            key: np.asarray(value, np.float64).ravel().tolist()
            for key, value in found.items()
            if not key.startswith("__")
        }
    except (ValueError, TypeError, KeyError, NotImplementedError, OSError) as error:
        raise _not_a_transform(file_name, "a binary file that is no MATLAB file") from error
    kinds = [key for key in values if key != "fixed"]
    if len(kinds) != 1:
        raise _not_a_transform(file_name, f"a MATLAB file with {', '.join(values) or 'nothing'}")
    return _itk_matrix(kinds[0], values[kinds[0]], values.get("fixed", []), file_name)


def _itk_matrix(kind: str, numbers: Numbers, fixed: Numbers, file_name: str) -> Matrix:
    """Give the matrix of one of ITK's transforms from its parameters: rotations and scales are about a fixed centre."""
    match = _KIND.fullmatch(kind)
    linear = _LINEAR.get(match[1]) if match else None
    if match is None or linear is None:
        raise SourceError(
            "a transform that is not read",
            got=kind,
            expected=f"one of {', '.join(_LINEAR)}",
            where=file_name,
            hint="a displacement field is read from NIfTI",
        )
    dims = int(match[2])
    bad = _not_a_transform(
        file_name, f"{kind} of {len(numbers)} and {len(fixed)} parameters that do not make one"
    )
    try:
        rows, moved = linear(dims, numbers, fixed)
    except (ValueError, IndexError) as error:
        raise bad from error
    whole = len(rows) == len(moved) == dims and len(fixed) in (0, dims, dims + 1)
    if not whole or not all(map(math.isfinite, (*np.ravel(rows), *moved, *fixed))):
        raise bad
    centre = [Fraction(exact(value)) for value in fixed[:dims] or (0.0,) * dims]
    turn = [[Fraction(exact(value)) for value in row] for row in rows]
    lines = []
    for i, row in enumerate(turn):
        back = sum((a * b for a, b in zip(row, centre, strict=True)), Fraction(0))
        lines.append((*row, Fraction(exact(moved[i])) + centre[i] - back))
    return (*lines, identity(dims)[-1])


Linear = Callable[[int, Numbers, Numbers], tuple[Sequence[Numbers], Numbers]]


def _affine(dims: int, p: Numbers, _: Numbers) -> tuple[Sequence[Numbers], Numbers]:
    return np.reshape(p[: dims * dims], (dims, dims)).tolist(), p[dims * dims :]


def _translation(dims: int, p: Numbers, _: Numbers) -> tuple[Sequence[Numbers], Numbers]:
    return np.eye(dims).tolist(), p


def _scale(dims: int, p: Numbers, _: Numbers) -> tuple[Sequence[Numbers], Numbers]:
    return np.diag(p).tolist(), (0.0,) * dims


def _identity(dims: int, _: Numbers, __: Numbers) -> tuple[Sequence[Numbers], Numbers]:
    return np.eye(dims).tolist(), (0.0,) * dims


def _euler_2d(_: int, p: Numbers, __: Numbers) -> tuple[Sequence[Numbers], Numbers]:
    return _turn_2d(p[0], 1.0), p[1:]


def _similarity_2d(_: int, p: Numbers, __: Numbers) -> tuple[Sequence[Numbers], Numbers]:
    return _turn_2d(p[1], p[0]), p[2:]


def _turn_2d(angle: float, size: float) -> list[list[float]]:
    c, s = size * math.cos(angle), size * math.sin(angle)
    return [[c, -s], [s, c]]


def _euler_3d(_: int, p: Numbers, fixed: Numbers) -> tuple[Sequence[Numbers], Numbers]:
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(a), math.sin(a)) for a in p[:3])
    x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    zyx = len(fixed) == 4 and fixed[3] != 0
    return (z @ y @ x if zyx else z @ x @ y).tolist(), p[3:]


def _versor_rigid_3d(_: int, p: Numbers, __: Numbers) -> tuple[Sequence[Numbers], Numbers]:
    return _versor(p[:3], 1.0), p[3:]


def _similarity_3d(_: int, p: Numbers, __: Numbers) -> tuple[Sequence[Numbers], Numbers]:
    return _versor(p[:3], p[6]), p[3:6]


def _versor(right: Numbers, size: float) -> list[list[float]]:
    """Give the rotation of a unit quaternion of which the right part is given."""
    x, y, z = right
    w = math.sqrt(max(1.0 - x * x - y * y - z * z, 0.0))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    found: list[list[float]] = (size * turn).tolist()
    return found


_LINEAR: dict[str, Linear] = {
    "AffineTransform": _affine,
    "MatrixOffsetTransformBase": _affine,
    "TranslationTransform": _translation,
    "ScaleTransform": _scale,
    "IdentityTransform": _identity,
    "Euler2DTransform": _euler_2d,
    "Rigid2DTransform": _euler_2d,
    "Similarity2DTransform": _similarity_2d,
    "Euler3DTransform": _euler_3d,
    "VersorRigid3DTransform": _versor_rigid_3d,
    "Similarity3DTransform": _similarity_3d,
}
