"""Registering types and methods; what a test registers is taken back."""

import sys

import pytest

from dacapo_like import registry
from dacapo_like.core import Array, ArrayConfig
from dacapo_like.errors import ConfigError
from dacapo_like.registry import array_method, array_type, array_types, discover, register


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_types", dict(registry._types))


def test_a_registered_type_is_known_by_its_tag():
    @register("wavelet")
    class WaveletArrayConfig(ArrayConfig):
        pass

    assert WaveletArrayConfig.tag == "wavelet"
    assert array_type("wavelet") is WaveletArrayConfig
    assert array_types()["wavelet"] is WaveletArrayConfig


def test_a_tag_is_taken_once():
    register("wavelet")(type("First", (ArrayConfig,), {}))
    with pytest.raises(ConfigError, match=r"registered twice \(got wavelet: Second and First\)"):
        register("wavelet")(type("Second", (ArrayConfig,), {}))
    assert array_type("wavelet").__name__ == "First"


def test_the_shipped_types_have_their_own_tags():
    import dacapo_like

    types = array_types()
    assert {"zarr", "nifti", "hdf5", "numpy", "crop", "concat", "binarize"} <= set(types)
    for tag, config_class in types.items():
        assert config_class.tag == tag
        assert getattr(dacapo_like, config_class.__name__) is config_class


def test_types_are_not_changed_from_outside():
    with pytest.raises(TypeError):
        array_types()["zarr"] = ArrayConfig


def test_an_unknown_tag_is_an_error_with_a_suggestion():
    with pytest.raises(ConfigError) as caught:
        array_type("binarise")
    assert caught.value.code == "DL101"
    assert caught.value.hint == "did you mean 'binarize'?"
    assert "crop" in caught.value.expected
    with pytest.raises(ConfigError, match="got ''"):
        array_type("")


def test_a_function_becomes_a_method():
    def ndim_plus(array, number):
        return array.ndim + number

    try:
        assert array_method(ndim_plus) is ndim_plus
        import dacapo_like

        assert dacapo_like.from_numpy([[1]]).ndim_plus(3) == 5
        with pytest.raises(ConfigError, match="method is registered twice"):
            array_method(ndim_plus)
    finally:
        del Array.ndim_plus


def test_a_method_does_not_replace_what_arrays_have():
    def spec(array):
        return array

    with pytest.raises(ConfigError, match=r"registered twice \(got spec\)"):
        array_method(spec)


def test_discovering_a_package_imports_its_modules(tmp_path, monkeypatch):
    package = tmp_path / "plugin_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "wavelet.py").write_text(
        "from dacapo_like.core import ArrayConfig\n"
        "from dacapo_like.registry import register\n"
        "register('wavelet')(type('Wavelet', (ArrayConfig,), {}))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        discover("plugin_of_a_test")
        assert array_type("wavelet").__name__ == "Wavelet"
    finally:
        for name in [name for name in sys.modules if name.startswith("plugin_of_a_test")]:
            del sys.modules[name]


def test_a_package_that_is_not_there_is_an_error():
    with pytest.raises(ModuleNotFoundError):
        discover("no_such_package_of_a_test")
