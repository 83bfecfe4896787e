"""The same work by ITK, on files that ITK wrote: images, affines and displacement fields."""

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813  # as all its documentation has it
from scipy import ndimage

from dacapo_like import from_numpy
from dacapo_like.sources.nifti import NiftiArrayConfig
from dacapo_like.transforms.config import Transform

pytestmark = pytest.mark.slow  # the module takes over ten seconds

METHODS = {
    "nearest": (sitk.sitkNearestNeighbor, {"interp_order": 0}),
    "linear": (sitk.sitkLinear, {"interp_order": 1}),
    "spline": (sitk.sitkBSpline, {"method": "spline"}),
}
SIZES = {2: (26, 31), 3: (17, 21, 19)}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def oblique(dims, degrees=20.0):
    """Give directions of an image, turned and, in space, with an axis reversed."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.eye(dims)
    turn[:2, :2] = [[c, -s], [s, c]]
    if dims == 3:
        tilt = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        turn = turn @ tilt @ np.diag([1, 1, -1])
    return turn


def image(
    dims, path, *, seed=0, spacing=(0.8, 1.25, 2.0), origin=(3.0, -4.0, 5.5), turn=None, pixel="f4"
):
    """Write an image of smooth noise with SimpleITK; give ITK's and our view of it."""
    voxels = ndimage.gaussian_filter(np.random.default_rng(seed).random(SIZES[dims]), 1.5)
    voxels = ((voxels - voxels.min()) / np.ptp(voxels) * (200 if pixel == "u1" else 1)).astype(
        pixel
    )
    made = sitk.GetImageFromArray(voxels)
    made.SetSpacing(spacing[:dims])
    made.SetOrigin(origin[:dims])
    if turn is not None:
        made.SetDirection(turn.ravel().tolist())
    sitk.WriteImage(made, str(path))
    return sitk.ReadImage(str(path)), NiftiArrayConfig(file_name=str(path)).array()


def pair(dims, tmp_path, **how):
    moving = image(dims, tmp_path / "moving.nii.gz", turn=oblique(dims), **how)
    fixed = image(
        dims,
        tmp_path / "fixed.nii.gz",
        spacing=(1.1, 0.9, 1.6),
        origin=(1.0, -2.0, 3.0),
        turn=oblique(dims, -8.0),
    )
    return moving, fixed


def centre(itk):
    return itk.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in itk.GetSize()])


def transforms(dims, about):
    """Give a transform of each of ITK's kinds that are affine."""
    if dims == 2:
        euler = sitk.Euler2DTransform(about, 0.3, (1.0, -0.7))
        similarity = sitk.Similarity2DTransform(1.2, -0.4, (0.5, 0.6), about)
        shear = [1.1, 0.2, -0.1, 0.9]
    else:
        euler = sitk.Euler3DTransform(about, 0.2, -0.1, 0.3, (1.0, -0.7, 0.4))
        similarity = sitk.Similarity3DTransform(
            1.15, (1.0, 2.0, -1.5), 0.5, (0.5, 0.6, -0.4), about
        )
        shear = [1.1, 0.2, -0.1, 0.05, 0.9, 0.1, 0.0, -0.15, 1.05]
    affine = sitk.AffineTransform(dims)
    affine.SetMatrix(shear)
    affine.SetCenter(about)
    affine.SetTranslation((1.5, -1.0, 0.7)[:dims])
    scale = sitk.ScaleTransform(dims, (1.3, 0.8, 1.1)[:dims])
    scale.SetCenter(about)
    found = {
        "affine": affine,
        "euler": euler,
        "similarity": similarity,
        "scale": scale,
        "translation": sitk.TranslationTransform(dims, (1.25, -2.5, 0.4)[:dims]),
    }
    if dims == 3:
        zyx = sitk.Euler3DTransform(about, 0.2, -0.1, 0.3, (1.0, -0.7, 0.4))
        zyx.SetComputeZYX(True)
        found["euler zyx"] = zyx
        found["versor"] = sitk.VersorRigid3DTransform((1.0, -2.0, 1.5), 0.6, (0.3, 0.2, 0.1), about)
    return found


def agree(got, itk, moving, share=1e-4):
    """Compare with what ITK made, to a share of the range of the moving image."""
    expected = sitk.GetArrayFromImage(itk)
    assert got.shape == expected.shape
    assert np.mean(expected != 0) > 0.1, "the two images have to overlap"
    extent = np.ptp(sitk.GetArrayFromImage(moving).astype(float))
    np.testing.assert_allclose(got, expected, rtol=0, atol=share * extent)


@pytest.mark.parametrize("suffix", ["txt", "mat"])
@pytest.mark.parametrize("dims", [2, 3])
def test_every_kind_of_affine(dims, suffix, tmp_path):
    (moving, ours), (fixed, like) = pair(dims, tmp_path)
    for kind, transform in transforms(dims, centre(fixed)).items():
        file = str(tmp_path / f"{kind}.{suffix}")
        sitk.WriteTransform(transform, file)
        itk = sitk.Resample(moving, fixed, transform, sitk.sitkLinear, 0.0)
        agree(ours.transform(file, like=like).read(), itk, moving)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dims", [2, 3])
def test_every_method(dims, method, tmp_path):
    (moving, ours), (fixed, like) = pair(dims, tmp_path)
    transform = transforms(dims, centre(fixed))["affine"]
    sitk.WriteTransform(transform, str(tmp_path / "a.tfm"))
    interpolator, how = METHODS[method]
    itk = sitk.Resample(moving, fixed, transform, interpolator, 0.0)
    agree(ours.transform(tmp_path / "a.tfm", like=like, **how).read(), itk, moving)


def test_bytes_are_rounded(tmp_path):
    (moving, ours), (fixed, like) = pair(3, tmp_path, pixel="u1")
    transform = transforms(3, centre(fixed))["euler"]
    sitk.WriteTransform(transform, str(tmp_path / "a.txt"))
    itk = sitk.Resample(moving, fixed, transform, sitk.sitkLinear, 0.0)
    got = ours.transform(tmp_path / "a.txt", like=like).read()
    assert got.dtype == np.uint8
    agree(got.astype(int), itk, moving, share=0.005)  # a half may go either way


def test_a_composite_is_applied_from_its_last_to_its_first(tmp_path):
    (moving, ours), (fixed, like) = pair(3, tmp_path)
    kinds = transforms(3, centre(fixed))
    parts = [kinds["euler"], kinds["scale"], kinds["affine"]]
    composite = sitk.CompositeTransform(parts)
    sitk.WriteTransform(composite, str(tmp_path / "all.tfm"))
    itk = sitk.Resample(moving, fixed, composite, sitk.sitkLinear, 0.0)
    agree(ours.transform(tmp_path / "all.tfm", like=like).read(), itk, moving)
    for i, part in enumerate(parts):
        sitk.WriteTransform(part, str(tmp_path / f"{i}.tfm"))
    in_order = [str(tmp_path / f"{i}.tfm") for i in (2, 1, 0)]
    agree(ours.transform(*in_order, like=like).read(), itk, moving)


def test_an_inverted_affine(tmp_path):
    (moving, ours), (fixed, like) = pair(3, tmp_path)
    transform = transforms(3, centre(fixed))["affine"]
    sitk.WriteTransform(transform, str(tmp_path / "a.mat"))
    itk = sitk.Resample(moving, fixed, transform.GetInverse(), sitk.sitkLinear, 0.0)
    got = ours.transform(Transform(file_name=tmp_path / "a.mat", invert=True), like=like)
    agree(got.read(), itk, moving)


def test_arrays_in_other_units_than_the_file(tmp_path):
    (moving, ours), (fixed, like) = pair(3, tmp_path)
    transform = transforms(3, centre(fixed))["affine"]
    sitk.WriteTransform(transform, str(tmp_path / "a.txt"))
    in_um = {
        name: from_numpy(
            array.read(),
            voxel_size=array.spec.voxel_size * 1000,
            offset=array.spec.offset * 1000,
            units="um",
            directions=array.spec.directions,
        )
        for name, array in {"ours": ours, "like": like}.items()
    }
    itk = sitk.Resample(moving, fixed, transform, sitk.sitkLinear, 0.0)
    for source, grid in (
        (in_um["ours"], in_um["like"]),
        (ours, in_um["like"]),
        (in_um["ours"], like),
    ):
        got = source.transform(tmp_path / "a.txt", like=grid)
        assert got.units == grid.units
        agree(got.read(), itk, moving)


# Displacement fields


def field_over(fixed, dims, path, *, size=1.5):
    """Write smooth displacements over the middle of an image; give ITK's transform."""
    shape = [n // 2 for n in fixed.GetSize()[::-1]]
    index = np.indices(shape)
    vectors = np.stack(
        [size * np.sin((0.35 + 0.1 * c) * index.sum(axis=0) + c) for c in range(dims)], axis=-1
    )
    made = sitk.GetImageFromArray(vectors.astype("f4"), isVector=True)
    made.SetSpacing([1.3 * s for s in fixed.GetSpacing()])
    made.SetDirection(oblique(dims, 30.0).ravel().tolist())
    middle = np.array(centre(fixed))
    made.SetOrigin([0.0] * dims)
    own = made.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in made.GetSize()])
    made.SetOrigin((middle - own).tolist())
    sitk.WriteImage(made, str(path))
    return sitk.DisplacementFieldTransform(
        sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkVectorFloat64)
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dims", [2, 3])
def test_a_displacement_field(dims, method, tmp_path):
    (moving, ours), (fixed, like) = pair(dims, tmp_path)
    transform = field_over(fixed, dims, tmp_path / "warp.nii.gz")
    header = nibabel.load(tmp_path / "warp.nii.gz").header
    assert len(header.get_data_shape()) == 5
    assert header.get_intent()[0] == "vector"
    interpolator, how = METHODS[method]
    itk = sitk.Resample(moving, fixed, transform, interpolator, 0.0)
    got = ours.transform(tmp_path / "warp.nii.gz", like=like, **how).read()
    unmoved = ours.transform(like=like, **how).read()
    assert np.abs(got - unmoved).max() > 0.1 * np.ptp(ours.read()), "the field has to count"
    if method == "nearest":  # a place may be within rounding of a face
        expected = sitk.GetArrayFromImage(itk)
        assert np.mean(got != expected) < 1e-3
    else:
        agree(got, itk, moving)


def test_a_chain_of_affine_and_field(tmp_path):
    (moving, ours), (fixed, like) = pair(3, tmp_path)
    warp = field_over(fixed, 3, tmp_path / "1Warp.nii.gz")
    affine = transforms(3, centre(fixed))["affine"]
    sitk.WriteTransform(affine, str(tmp_path / "0GenericAffine.mat"))
    # ANTs: fixed to moving, the field first, and then the affine; a composite's last is applied first.
    itk = sitk.Resample(
        moving, fixed, sitk.CompositeTransform([affine, warp]), sitk.sitkLinear, 0.0
    )
    got = ours.transform(tmp_path / "1Warp.nii.gz", tmp_path / "0GenericAffine.mat", like=like)
    agree(got.read(), itk, moving)
    other = sitk.Resample(
        moving, fixed, sitk.CompositeTransform([warp, affine]), sitk.sitkLinear, 0.0
    )
    got = ours.transform(tmp_path / "0GenericAffine.mat", tmp_path / "1Warp.nii.gz", like=like)
    agree(got.read(), other, moving)


def test_an_inverted_field_undoes_the_field(tmp_path):
    _, (fixed, like) = pair(3, tmp_path)
    warp = field_over(fixed, 3, tmp_path / "warp.nii.gz", size=0.45)
    indices = np.random.default_rng(0).uniform(0, 15, (200, 3))
    there = []
    for index in indices:
        point = fixed.TransformContinuousIndexToPhysicalPoint(index[::-1].tolist())
        moved = fixed.TransformPhysicalPointToContinuousIndex(warp.TransformPoint(point))
        there.append(moved[::-1])
    assert np.abs(there - indices).max() > 0.2, "the field has to count"
    field = NiftiArrayConfig(file_name=tmp_path / "warp.nii.gz").array()
    places = like.points_to(field, np.array(there))
    inside = np.all((places > 0) & (places < np.array(field.shape[1:]) - 1), axis=1)
    assert inside.sum() > 30
    inverse = Transform(file_name=tmp_path / "warp.nii.gz", invert=True)
    got = like.points_to(like, np.array(there)[inside], [inverse])
    np.testing.assert_allclose(got, indices[inside], atol=1e-5)


def test_points_go_where_itk_takes_them(tmp_path):
    (moving, ours), (fixed, like) = pair(3, tmp_path)
    warp = field_over(fixed, 3, tmp_path / "w.nii.gz")
    affine = transforms(3, centre(fixed))["similarity"]
    sitk.WriteTransform(affine, str(tmp_path / "a.txt"))
    indices = np.random.default_rng(1).uniform(0, 15, (40, 3))
    got = like.points_to(ours, indices, [tmp_path / "w.nii.gz", tmp_path / "a.txt"])
    for index, found in zip(indices, got, strict=True):
        point = fixed.TransformContinuousIndexToPhysicalPoint(index[::-1].tolist())
        moved = affine.TransformPoint(warp.TransformPoint(point))
        expected = moving.TransformPhysicalPointToContinuousIndex(moved)
        np.testing.assert_allclose(found, expected[::-1], atol=1e-4)
