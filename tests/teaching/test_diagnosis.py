"""The checks pass right models of every kind, and find each mistake by the checks that are meant for it."""

import numpy as np
import pytest

import vaelib
from vaelib.teaching import mistakes
from vaelib.teaching.diagnosis import (
    DRAWS,
    EVALUATION,
    FRESH,
    KL,
    NAMES,
    NOISE,
    SHAPE,
    TOTAL,
    WORTH,
    check_learning,
    check_loss,
    check_worth,
    total_probability,
)

GREY = ("ContinuousBernoulli", "Normal", "IsotropicNormal")


@pytest.fixture(scope="module")
def black_and_white(images):
    return np.repeat((images > 0.5).astype("float32"), 2, axis=0)


@pytest.mark.parametrize("likelihood", ["Bernoulli", *GREY])
def test_right_likelihoods_pass(make_vae, seeded, images, black_and_white, likelihood):
    x = images if likelihood in GREY else black_and_white
    result = check_loss(make_vae(likelihood=likelihood), x)
    assert [check.name for check in result] == list(NAMES)
    assert result.failed == [], repr(result)


@pytest.mark.parametrize(
    "switch", [{"posterior": "FullNormal"}, {"prior": "MixturePrior"}, {"network": "conv"}], ids=str
)
def test_other_right_parts_pass(make_vae, seeded, perturb, black_and_white, switch):
    vae = perturb(make_vae(**switch), scale=0.1)
    assert check_loss(vae, black_and_white).failed == []


EXPECTED = [
    ({"likelihood": mistakes.MeanOverPixels}, [TOTAL, DRAWS]),
    ({"likelihood": mistakes.SwappedCrossEntropy}, [TOTAL, DRAWS]),
    ({"likelihood": mistakes.NoLogTwoPi}, [TOTAL]),
    ({"likelihood": mistakes.NoLogVar}, [TOTAL]),
    # These three add up to 1: another likelihood than the one that was meant.
    ({"likelihood": mistakes.Inverted}, [DRAWS]),
    ({"likelihood": mistakes.DoubleSigmoid}, [DRAWS]),
    ({"likelihood": mistakes.ExpIsSigma}, [DRAWS]),
    ({"posterior": mistakes.LogVarAsSigma}, [NOISE, KL]),
    ({"posterior": mistakes.VarianceAsSigma}, [NOISE, KL]),
    ({"posterior": mistakes.StoppedGradient}, []),  # every value is right: only learning shows it
    ({"posterior": mistakes.SignOfLogVar}, [KL]),
    ({"posterior": mistakes.NumpyNoise}, [FRESH]),  # in the compiled program alone
    ({"posterior": mistakes.FrozenNoise}, [NOISE, FRESH, EVALUATION]),
    ({"posterior": mistakes.SharedNoise}, [FRESH]),
    ({"posterior": mistakes.FixedBatchNoise}, [SHAPE]),
    ({"objective": mistakes.NegativeKL}, [KL]),
    ({"objective": mistakes.MeanOverLatentDims}, [KL]),
    ({"objective": mistakes.NoiselessEvaluation}, [EVALUATION]),
    ({"objective": vaelib.ELBO(4.0)}, [EVALUATION]),
]


# Every third; the others in `make test-all`.
TRIED = [pytest.param(*row, marks=[pytest.mark.slow] if n % 3 else []) for n, row in enumerate(EXPECTED)]


@pytest.mark.parametrize(("switch", "expected"), TRIED, ids=str)
def test_each_mistake_is_found(make_vae, seeded, perturb, black_and_white, switch, expected):
    # Weights with some spread: an encoder that gives N(0, I) throughout hides what is done to its KL.
    assert check_loss(perturb(make_vae(**switch)), black_and_white).failed == expected


def test_no_noise_in_evaluation_is_said(make_vae, seeded, black_and_white):
    result = check_loss(make_vae(objective=mistakes.NoiselessEvaluation), black_and_white)
    assert result.failed == [EVALUATION] and "no noise" in result[-1].detail


def test_a_bernoulli_of_grey_pixels_is_no_distribution(make_vae, seeded, images):
    assert check_loss(make_vae(), images).failed == [TOTAL, DRAWS]


def test_the_total_of_a_grey_bernoulli_is_the_closed_form(images):
    likelihood = vaelib.Bernoulli((8, 8))
    logits = 0.5 * np.random.default_rng(0).standard_normal(2)  # those of total_probability
    area = np.tanh(logits / 2) / logits  # (2 lambda - 1) / (log lambda - log(1 - lambda))
    assert total_probability(likelihood, images) == pytest.approx(area.prod(), rel=1e-4)


def test_the_noise_of_a_full_batch_of_another_size_is_reported_and_not_raised(make_vae, seeded, black_and_white):
    vae = make_vae(posterior=lambda latent_dim: mistakes.FixedBatchNoise(latent_dim, batch_size=7))
    assert check_loss(vae, black_and_white).failed == [SHAPE, NOISE, FRESH, EVALUATION]


def test_it_prints_one_line_a_check_and_leaves_the_metrics_alone(make_vae, seeded, black_and_white):
    vae = make_vae(objective=mistakes.NegativeKL)
    lines = repr(check_loss(vae, black_and_white)).splitlines()
    assert len(lines) == len(NAMES) and lines[5].startswith(f"✗ {KL}") and lines[0].startswith(f"✓ {TOTAL}")
    vae.compile("adam")
    assert [metric.name for metric in vae.metrics][1:] == ["reconstruction", "kl"]
    assert all(float(metric.result()) == 0 for metric in vae.metrics)


def test_bad_arguments_are_refused(make_vae, black_and_white):
    with pytest.raises(ValueError, match="Divide by 255"):
        check_loss(make_vae(), 255 * black_and_white)
    with pytest.raises(ValueError, match="num_draws must be at least 2"):
        check_loss(make_vae(), black_and_white, num_draws=1)


@pytest.mark.parametrize(
    ("likelihood", "objective", "passed"),
    [
        ("Bernoulli", vaelib.ELBO(), True),
        (mistakes.Inverted, vaelib.ELBO(), False),
        ("Bernoulli", vaelib.ELBO(2), False),
    ],
)
def test_reported_is_held_against_worth(make_vae, seeded, perturb, black_and_white, likelihood, objective, passed):
    vae = perturb(make_vae(likelihood=likelihood, objective=objective))
    vae.compile("adam", run_eagerly=True)
    check = check_worth(vae, black_and_white)
    assert check.name == WORTH and check.passed is passed, check.detail


@pytest.mark.parametrize(("posterior", "passed"), [("DiagonalNormal", True), (mistakes.StoppedGradient, False)])
def test_a_right_model_learns_two_images_by_heart(make_vae, seeded, without_xla, black_and_white, posterior, passed):
    pair = black_and_white[[0, int(np.argmax(np.abs(black_and_white - black_and_white[0]).sum(axis=(1, 2))))]]
    assert check_learning(make_vae(posterior=posterior), pair, num_steps=200).passed is passed
