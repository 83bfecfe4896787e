import h5py
import numpy as np
import pytest
import scipy.io

from dacapo_like.errors import SourceError
from dacapo_like.transforms.files import read_affine
from dacapo_like.transforms.matrix import as_floats

ANTS = """#Insight Transform File V1.0
#Transform 0
Transform: MatrixOffsetTransformBase_double_3_3
Parameters: 1.1 0.2 0 -0.1 0.9 0 0 0 1 5 -6 7
FixedParameters: 10 20 30
"""


def written(tmp_path, text, name="a.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_itk_turns_about_the_centre(tmp_path):
    matrix, convention = read_affine(written(tmp_path, ANTS))
    assert convention == "lps"
    linear, centre = np.array([[1.1, 0.2, 0], [-0.1, 0.9, 0], [0, 0, 1]]), np.array([10, 20, 30])
    point = np.array([3.0, -4.0, 5.0])
    expected = linear @ (point - centre) + centre + [5, -6, 7]
    np.testing.assert_allclose(as_floats(matrix) @ [*point, 1], expected)


def test_windows_line_ends_and_single_precision(tmp_path):
    text = ANTS.replace("\n", "\r\n").replace("double", "float")
    assert read_affine(written(tmp_path, text)) == read_affine(written(tmp_path, ANTS))


def test_a_binary_file_says_the_same(tmp_path):
    numbers = np.array([1.1, 0.2, 0, -0.1, 0.9, 0, 0, 0, 1, 5, -6, 7])
    values = {
        "AffineTransform_double_3_3": numbers[:, None],
        "fixed": np.array([[10.0], [20], [30]]),
    }
    scipy.io.savemat(tmp_path / "a.mat", values, format="4")
    assert read_affine(str(tmp_path / "a.mat")) == read_affine(written(tmp_path, ANTS))


@pytest.mark.parametrize("size", [3, 4])
def test_plain_rows_of_numbers(size, tmp_path):
    expected = np.eye(size)
    expected[:-1] = np.round(np.random.default_rng(0).normal(size=(size - 1, size)), 4)
    np.savetxt(tmp_path / "a.mat", expected, fmt="%.4f", delimiter="  ")
    matrix, convention = read_affine(str(tmp_path / "a.mat"))
    assert convention == "ras"
    np.testing.assert_array_equal(as_floats(matrix), expected[:-1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "rows of"),
        ("1 0\n0 1\n", r"rows of \[2, 2\] numbers"),
        ("1 0 0\n0 1 0\n", r"rows of \[3, 3\] numbers"),
        ("1 0 0\n0 1 0\n0 0 2\n", "a last row of"),
        ("1 0 0\n0 nan 0\n0 0 1\n", "not finite"),
        ("hello\n", "text that is no matrix"),
        (b"\xff\xfe\xfd", "neither text nor a MATLAB file"),
        (b"\0\1\2\3" * 9, "a binary file that is no MATLAB file"),
        (b"1 " * 2**20, "more than"),
        ("#Insight Transform File V1.0\n", "0 transforms"),
        (ANTS + ANTS.split("\n", 1)[1], "2 transforms that are no composite"),
        (ANTS.replace("5 -6 7", "5 -6"), "of 11 and 3 parameters that do not make one"),
        (ANTS.replace("10 20 30", "10 20"), "of 12 and 2 parameters"),
        (ANTS.replace("5 -6 7", "5 -6 inf"), "of 12 and 3 parameters"),
        (ANTS.replace("5 -6 7", "5 -6 x"), "parameters that are no numbers"),
        (
            ANTS.replace("MatrixOffsetTransformBase", "BSplineTransform"),
            "got BSplineTransform_double_3_3",
        ),
        (ANTS.replace("_3_3", "_3_2"), "got MatrixOffsetTransformBase_double_3_2"),
    ],
)
def test_files_that_hold_no_affine(text, message, tmp_path):
    path = written(tmp_path, text)
    with pytest.raises(SourceError, match=message) as error:
        read_affine(path)
    assert error.value.where == path


def test_a_file_of_matlab_s_that_holds_something_else(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"a": np.eye(3), "b": np.eye(3)}, format="4")
    with pytest.raises(SourceError, match="a MATLAB file with a, b"):
        read_affine(str(tmp_path / "a.mat"))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        read_affine(str(tmp_path / "a.mat"))


def test_a_composite_in_hdf5_is_to_be_taken_apart(tmp_path):
    with h5py.File(tmp_path / "aComposite.h5", "w") as file:
        file["TransformGroup/0/TransformType"] = b"CompositeTransform_double_3_3"
    with pytest.raises(SourceError, match=r"HDF5 are not read.*--disassemble"):
        read_affine(str(tmp_path / "aComposite.h5"))
