"""Water filling and the linear β-VAE against numeric searches, finite sums against their definitions."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import ndtr
from scipy.stats import ortho_group

from vaelib.theory.rates import FiniteCodes, LinearBetaVAE, learned_noise_var, reverse_water_filling, water_at_rate

VARIANCES = np.array([0.3, 2.0, 1.0, 0.0])


def test_the_known_figures():
    water = reverse_water_filling([2.0, 1.0, 0.3], 0.5)
    np.testing.assert_allclose(water.rates, [math.log(2), 0.5 * math.log(2), 0], atol=1e-15)
    np.testing.assert_allclose(water.errors, [0.5, 0.5, 0.3])
    assert (water.num_active, water.error) == (2, pytest.approx(1.3))


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.4, 1.0, 3.0, 20.0])
def test_a_rate_is_spent_and_no_other_division_leaves_less_error(rate):
    """Against a search over all divisions of the nats among directions; errors are λ e^{−2 rate} each."""
    water = water_at_rate(VARIANCES, rate)
    assert water.rate == pytest.approx(rate, abs=1e-12)
    positive = VARIANCES[VARIANCES > 0]

    def error(logits):
        share = np.exp(logits - logits.max())
        return np.sum(positive * np.exp(-2 * rate * share / share.sum()))

    starts = np.random.default_rng(0).normal(size=(20, len(positive)))
    best = min(
        minimize(error, start, method="Nelder-Mead", options={"fatol": 1e-14, "xatol": 1e-9}).fun for start in starts
    )
    assert water.error == pytest.approx(best, rel=1e-6)
    assert water.error <= best + 1e-12


def test_the_slope_of_error_against_rate_is_minus_twice_the_level():
    """The level is what a nat buys: dD/dR = −2 θ."""
    for rate in (0.1, 0.7, 2.5):
        ends = [water_at_rate(VARIANCES, rate + step).error for step in (-1e-5, 1e-5)]
        assert (ends[1] - ends[0]) / 2e-5 == pytest.approx(-2 * water_at_rate(VARIANCES, rate).level, rel=1e-7)


def turned(variances, seed=0):
    axes = ortho_group(len(variances), seed=seed).rvs()
    return axes @ np.diag(variances) @ axes.T


@pytest.mark.parametrize(
    "variances, latent_dim, noise_var, beta",
    [
        ((2.0, 1.0, 0.3), 3, 0.25, 2.0),
        ((2.0, 1.0, 0.3), 3, 0.25, 0.5),
        ((2.0, 1.0, 0.3), 1, 0.1, 1.0),
        ((1.0, 0.9), 2, 2.0, 4.0),
    ],
)
def test_no_linear_model_has_a_smaller_loss(variances, latent_dim, noise_var, beta):
    """Against gradient descent from random starts on all three parts, and a dimension that is dark stays dark."""
    model = LinearBetaVAE(turned(variances), latent_dim, noise_var, beta)
    sizes = model.decoder.size, model.encoder.size

    def loss(v):
        decoder, encoder, log_q_var = np.split(v, np.cumsum(sizes))
        return model.loss(decoder.reshape(-1, latent_dim), encoder.reshape(latent_dim, -1), np.exp(log_q_var))

    rng = np.random.default_rng(0)
    found = [minimize(loss, 0.5 * rng.normal(size=sum(sizes) + latent_dim), tol=1e-10).fun for _ in range(4)]
    assert model.loss() <= min(found) + 1e-10
    assert model.loss() == pytest.approx(min(found), abs=1e-6)


def test_its_rates_and_errors_are_those_of_the_water():
    covariance, noise_var, beta = turned((2.0, 1.0, 0.3)), 0.25, 2.0
    model = LinearBetaVAE(covariance, 3, noise_var, beta)
    mean_square = np.diag(model.encoder @ covariance @ model.encoder.T)
    kl = 0.5 * (mean_square + model.q_var - 1 - np.log(model.q_var))
    np.testing.assert_allclose(kl, model.water.rates, atol=1e-12)
    rest = np.eye(3) - model.decoder @ model.encoder
    error = np.trace(rest @ covariance @ rest.T) + np.sum(model.decoder**2 * model.q_var)
    assert error == pytest.approx(model.water.error, abs=1e-12)
    np.testing.assert_allclose(np.sum(model.decoder**2, axis=0), [1.5, 0.5, 0.0], atol=1e-12)


def test_at_beta_one_it_is_probabilistic_pca():
    """With the noise that it learns, log p(x) = the negative loss: the posterior is exact, and diagonal."""
    covariance = turned((3.0, 1.5, 0.4, 0.2, 0.1))
    noise_var = learned_noise_var(np.linalg.eigvalsh(covariance), 2)
    assert noise_var == pytest.approx((0.4 + 0.2 + 0.1) / 3)
    model = LinearBetaVAE(covariance, 2, noise_var)
    marginal = model.decoder @ model.decoder.T + noise_var * np.eye(5)
    log_p = -0.5 * (np.linalg.slogdet(2 * np.pi * marginal)[1] + np.trace(np.linalg.solve(marginal, covariance)))
    assert -model.loss() == pytest.approx(log_p, abs=1e-12)


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5])
def test_the_learned_noise_has_the_smallest_loss(beta):
    variances = np.array([3.0, 1.5, 0.4, 0.2, 0.1, 0.1])
    best = learned_noise_var(variances, 2, beta)
    losses = [LinearBetaVAE(np.diag(variances), 2, best * factor, beta).loss() for factor in (0.99, 1.0, 1.01)]
    assert losses[1] < min(losses[0], losses[2])


needs_mnist = pytest.mark.skipif(
    not Path(os.environ.get("VAELIB_DATA", ""), "mnist.npz").is_file(), reason="needs the real MNIST in VAELIB_DATA"
)


@needs_mnist
@pytest.mark.slow
def test_the_water_over_the_digits():
    with np.load(Path(os.environ["VAELIB_DATA"], "mnist.npz")) as file:
        digits = file["x_train"].reshape(-1, 784) / 255.0
    variances = np.maximum(np.linalg.eigvalsh(np.cov(digits.T, bias=True)), 0)
    expected = {1.0: (12, 4.33, 36.81), 0.5: (23, 10.17, 28.70), 0.1: (69, 45.11, 13.64), 0.01: (251, 207.0, 3.65)}
    for level, (active, rate, error) in expected.items():
        water = reverse_water_filling(variances, level)
        assert water.num_active == active
        assert water.rate == pytest.approx(rate, abs=0.06 if rate > 100 else 0.006)
        assert water.error == pytest.approx(error, abs=0.006)


# Finitely many images and codes


def random_codes(seed=0, images=5, codes=3):
    rng = np.random.default_rng(seed)
    data, prior = rng.dirichlet(np.ones(images)), rng.dirichlet(np.ones(codes))
    return FiniteCodes(data, rng.dirichlet(np.ones(codes), images), rng.dirichlet(np.ones(images), codes), prior)


@pytest.mark.parametrize("seed", range(5))
def test_information_lies_between_entropy_minus_distortion_and_rate(seed):
    model = random_codes(seed)
    assert model.entropy - model.distortion < model.information < model.rate
    decoding, coding = model.with_best_decoder(), model.with_best_prior()
    assert decoding.entropy - decoding.distortion == pytest.approx(decoding.information, abs=1e-14)
    assert coding.rate == pytest.approx(coding.information, abs=1e-14)
    # R − I is the KL of the aggregate from the prior.
    aggregate = model.joint.sum(axis=0)
    assert model.rate - model.information == pytest.approx(
        np.sum(aggregate * np.log(aggregate / model.prior)), abs=1e-14
    )


def test_minus_rate_and_distortion_is_a_bound_that_bayes_rule_reaches():
    model = random_codes()
    joint = model.prior[:, None] * model.decoder
    log_p = np.sum(model.data * np.log(joint.sum(axis=0)))
    assert -model.rate - model.distortion < log_p
    exact = FiniteCodes(model.data, (joint / joint.sum(axis=0)).T, model.decoder, model.prior)
    assert -exact.rate - exact.distortion == pytest.approx(log_p, abs=1e-14)


def test_the_toy_of_two_causes_and_thirty_bins():
    """Alemi et al.: z* ~ Ber(0.7), x|z* ~ N(z*, 0.3²) in 30 bins on [−1, 2] carries about half a nat of z*."""
    edges = np.linspace(-1, 2, 31)
    given = np.diff(ndtr((edges - np.array([[0.0], [1.0]])) / 0.3))
    given /= given.sum(axis=1, keepdims=True)
    prior = np.array([0.3, 0.7])
    data = prior @ given
    model = FiniteCodes(data, (prior[:, None] * given / data).T, given, prior)
    assert model.information == pytest.approx(0.4990, abs=6e-4)
    assert model.rate == pytest.approx(model.information, abs=1e-14)
    assert model.entropy - model.distortion == pytest.approx(model.information, abs=1e-14)


def test_an_impossible_image_costs_everything():
    certain = np.eye(2)
    assert FiniteCodes([0.5, 0.5], certain, certain[::-1], [0.5, 0.5]).distortion == math.inf
    assert FiniteCodes([0.5, 0.5], certain, certain, [0.5, 0.5]).distortion == 0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: reverse_water_filling([1.0, -0.1], 0.5), r"of at least 0; received shape \(2,\), the smallest -0.1"),
        (lambda: reverse_water_filling([1.0], 0.0), "level must be a finite number above 0; received 0.0"),
        (lambda: reverse_water_filling([1.0], 0.5, most=0), "most must be a whole number of at least 1"),
        (lambda: water_at_rate([1.0], -1.0), "rate must be one number of nats, at least 0"),
        (lambda: water_at_rate([0.0, 0.0], 1.0), "variances must hold one above 0"),
        (lambda: LinearBetaVAE(np.eye(2), 3, 1.0), "latent_dim must be at most data_dim, 2; received 3"),
        (lambda: LinearBetaVAE(np.eye(2), 1, 1.0, beta=math.inf), "beta must be a finite number above 0; received inf"),
        (lambda: LinearBetaVAE(np.diag([1.0, -1.0]), 1, 1.0), "no negative eigenvalue; received -1"),
        (lambda: LinearBetaVAE([[1.0, 2.0], [0.0, 1.0]], 1, 1.0), "covariance must be a symmetric matrix"),
        (lambda: learned_noise_var([2.0, 1.0, 0.1], 2, beta=2.0), r"beta \* latent_dim must be below data_dim, 3"),
        (lambda: learned_noise_var([2.0, 0.3, 0.2, 0.2], 2, beta=1.5), "fewer dimensions are in use"),
        (lambda: FiniteCodes([0.5, 0.6], np.eye(2), np.eye(2), [0.5, 0.5]), "data must hold probabilities"),
        (lambda: FiniteCodes([1.0], np.eye(2), np.eye(2), [0.5, 0.5]), r"asks for data \(2,\)"),
    ],
)
def test_what_cannot_be_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
