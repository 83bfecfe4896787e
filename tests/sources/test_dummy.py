import json

import numpy as np
import pytest
from click.testing import CliRunner

import dacapo_like
from dacapo_like import DummyArrayConfig
from dacapo_like.cli import main
from dacapo_like.config.verify import has_errors
from dacapo_like.spec import from_shape
from dacapo_like.testing import ArrayContract, Case


class TestLaws(ArrayContract):
    def case_part_of_it(self, directory):
        array = DummyArrayConfig().array().crop(((96, 7, 46), (4, 5, 4)))
        return Case(array, np.zeros((4, 5, 4)))


def test_it_opens_as_zeros():
    array = dacapo_like.open_array({"type": "dummy"})
    assert array.spec == from_shape((100, 50, 50), "float64", axes="zyx", kind="image")
    np.testing.assert_array_equal(array.read(), np.zeros((100, 50, 50)))


@pytest.mark.parametrize(
    ("target", "key"),
    [
        (DummyArrayConfig(), ""),
        ({"type": "dummy", "name": "later"}, ""),
        ({"type": "ones", "source": {"type": "dummy"}}, "source"),
        ({"arrays": {"a": {"type": "dummy"}}}, "arrays.a"),
    ],
)
def test_it_is_never_valid(target, key):
    (problem,) = dacapo_like.verify(target, deep=True)
    assert (problem.code, problem.severity, problem.key) == ("DL215", "error", key)
    assert problem.message == "a dummy is never valid"
    assert has_errors([problem])


def test_the_command_line_fails_on_it(tmp_path):
    path = tmp_path / "later.json"
    path.write_text(json.dumps({"type": "dummy"}))
    result = CliRunner().invoke(main, ["verify", str(path)])
    assert result.exit_code == 1
    assert "DL215" in result.output
