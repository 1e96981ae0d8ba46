"""Each notebook runs with small parameters and keeps its claims, in this process: the quick look of `make test`."""

import sys
from pathlib import Path

import pytest
from breaking import left_out, sources_of
from in_process import notebook_shell
from small_runs import CHANGED

from vaelib.teaching import figures
from vaelib.tools.runner.evidence import claims_of
from vaelib.widgets import lab

NOTEBOOKS = sorted(path.stem for path in (Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
# Long cells, by a piece of their code, that do what others do once more: on other data, with another part, for an
# exercise. They are left out, and what needs them; where whole notebooks run they run too.
WITHOUT = {
    "01_latent_variable_models": ("sixteen, sixteen_vae = (",),
    "03_amortised_inference": ("left_over = {}", "tried = ["),
    "07_vae_in_keras": ("kl_at = {}", "bounds = {K", "import EpochScrubber"),
    "08_modular_vae": ("def train_with_noise",),
    "09_faces": ("drawn = synthetic_faces()",),
    "10_wrong_losses": (
        *("train(frozen)", "frozen_loss =", "def misses(", "train(wrong)", "terms = {name"),
        *("by_heart = check_learning", "learned = check_learning"),
    ),
    "12_trusting_a_posterior": ("evidence = []",),
    "13_your_own_images": ("def model_of(dims)", "turned = rng.uniform("),
    "14_importance_weighting": ("models[first, then] = ", "records = {k: shipped"),
    "15_normalizing_flows": (
        "shapes = {}",
        "flows.log_normaliser",
        "learned[name]",
        "learned.items()",
        "left[name]",
        "left.items()",
    ),
    "16_rate_and_distortion": ("vaelib.synthetic_faces()",),
    "17_discrete_latents": ("def belief_network",),
    "18_implicit_posteriors": ("by_critic = ",),
    "20_diffusion": ("runs = []",),
    "21_same_parts_elsewhere": ("def quantised(", "def cell_model("),
}
# The same claims in less time: fewer images, no XLA, and no look for garbage before each model.
SHORTER = {
    "07_vae_in_keras": {
        "x_train, x_test, y_test = mnist.x_train, mnist.x_test, mnist.y_test": (
            "x_train, x_test, y_test = mnist.x_train[:12_000], mnist.x_test[:2_000], mnist.y_test[:2_000]"
        ),
        "x_train[:20_000]": "x_train[:5_000]",
        ", jit_compile=True": "",
    },
    "10_wrong_losses": {
        "    forget_models()": "    # forget_models()",
    },
}


@pytest.fixture
def with_or_without_tensorflow(request, monkeypatch):
    """A function that prepares this process for the cells of a notebook, as if it were a fresh kernel's."""

    def prepare(sources):
        if any("import keras" in source for source in sources):
            request.getfixturevalue("without_xla")
        else:  # what other tests loaded is not seen; if the notebook loads it, that is
            for name in ("keras", "tensorflow"):
                monkeypatch.delitem(sys.modules, name, raising=False)

    return prepare


@pytest.fixture
def coarse_figures(monkeypatch):
    """A quarter of the dots to the inch: nobody looks, and figures are a fifth of the time."""
    monkeypatch.setattr(figures, "DPI", figures.DPI // 4)
    monkeypatch.setattr(lab, "SHARPNESS", lab.SHARPNESS / 4)


@pytest.mark.parametrize("name", NOTEBOOKS)
@pytest.mark.usefixtures("coarse_figures")
def test_every_claim_holds(name, with_or_without_tensorflow):
    sources = sources_of(name, CHANGED[name], SHORTER.get(name, {}))
    without = WITHOUT.get(name, ())
    assert all(any(piece in source for source in sources) for piece in without)
    sources = [source for _, source in left_out(sources, without)]
    with_or_without_tensorflow(sources)
    displayed = []
    with notebook_shell() as run:
        for source in sources:
            ran = run(source)
            if ran.error is not None:
                raise ran.error
            displayed += ran.displayed
    claims = [claim for data in displayed for claim in claims_of(data)]
    assert claims and all(claim["passed"] for claim in claims)
    assert any("image/png" in data for data in displayed)


def test_none_is_left_at_its_defaults():
    assert set(CHANGED) == set(NOTEBOOKS)
