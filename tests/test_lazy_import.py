"""The light half of vaelib stays light: it never brings Keras or TensorFlow in."""

import subprocess
import sys

import pytest

import vaelib


@pytest.mark.parametrize(
    "modules",
    ["vaelib", "vaelib.theory, vaelib.teaching.claims, vaelib.data, vaelib.teaching.plots, vaelib.tools.runner"],
)
def test_the_import_brings_neither_keras_nor_tensorflow(modules):
    check = "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules), sorted(sys.modules)"
    result = subprocess.run([sys.executable, "-c", f"import sys, {modules}; {check}"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_public_name_brings_in_only_its_own_module():
    code = (
        "import sys, vaelib; vaelib.claim_equal, vaelib.theory, vaelib.load_mnist;"
        "assert 'keras' not in sys.modules and 'vaelib.model.vae' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_every_public_name_is_there():
    for name in vaelib.__all__:
        assert getattr(vaelib, name) is not None, name
    assert dir(vaelib) == vaelib.__all__
    with pytest.raises(AttributeError, match="no attribute 'VEA'"):
        vaelib.VEA  # noqa: B018
