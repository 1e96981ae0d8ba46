"""The parts of the KL against Monte Carlo and a known case, minibatch estimates by enumeration, scores by hand."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp

from vaelib.theory import gaussian
from vaelib.theory.disentanglement import (
    batch_estimates,
    batch_weights,
    binned_information,
    dci,
    kl_parts,
    linear_importance,
    mutual_information_gap,
    turned_information,
)


def test_the_parts_add_up_to_the_mean_kl():
    rng = np.random.default_rng(0)
    for dims in (1, 2):
        mu, log_var, data = rng.normal(size=(5, dims)), rng.normal(size=(5, dims)) - 1, rng.dirichlet(np.ones(5))
        parts = kl_parts(mu, log_var, data)
        assert parts.total == pytest.approx(float(data @ gaussian.kl_standard_normal(mu, log_var)), abs=1e-11)
        assert min(parts) > -1e-12
        if dims == 1:
            assert parts.total_correlation == 0


def test_the_parts_are_the_means_of_their_log_ratios():
    """Against draws of x, z and sums over the five images; four standard errors."""
    rng, n = np.random.default_rng(1), 200_000
    mu, log_var = rng.normal(size=(5, 2)), rng.normal(size=(5, 2)) - 1
    parts, image = kl_parts(mu, log_var), rng.integers(5, size=n)
    z = mu[image] + np.exp(0.5 * log_var[image]) * rng.standard_normal((n, 2))
    each = gaussian.log_prob_normal(z[:, None], mu, log_var)  # (n, images, dims)
    joint = logsumexp(each.sum(axis=-1), axis=1) - np.log(5)
    margins = (logsumexp(each, axis=1) - np.log(5)).sum(axis=-1)
    own = each.sum(axis=-1)[np.arange(n), image]
    prior = gaussian.log_prob_standard_normal(z)
    for found, draws in zip(parts, (own - joint, joint - margins, margins - prior), strict=True):
        assert abs(found - draws.mean()) < 4 * draws.std() / math.sqrt(n)


def test_the_four_points_at_the_optimum_of_diagonal_normals():
    """Two pairs, (±0.863, 0) and (0, ±1.317): mostly information, and a KL to the prior of 0.1465 that is left."""
    mu = np.array([[0.863, 0], [-0.863, 0], [0, 1.317], [0, -1.317]])
    std = np.array([[0.504, 0.341]] * 2 + [[1.00, 0.388]] * 2)
    parts = kl_parts(mu, 2 * np.log(std))
    np.testing.assert_allclose(parts, [1.207909, 0.023293, 0.123193], atol=3e-3)  # the places are rounded to 3 digits
    assert parts.mutual_information < math.log(4)


def test_a_posterior_that_is_the_prior_costs_nothing():
    np.testing.assert_allclose(kl_parts(np.zeros((3, 2)), np.zeros((3, 2))), 0, atol=1e-12)


def test_the_aggregate_turns_into_correlation_where_codes_line_up():
    """Two images on a diagonal: as many nats of total correlation as of information, where they are told apart."""
    parts = kl_parts([[-3.0, -3.0], [3.0, 3.0]], np.full((2, 2), 2 * np.log(0.3)))
    assert parts.mutual_information == pytest.approx(math.log(2), abs=1e-9)
    assert parts.total_correlation == pytest.approx(math.log(2), abs=1e-9)


# Minibatches


def bias(weights, num_data=5, seed=0):
    """The mean of q̂(z)/q(z) over all batches, z from image 0."""
    rng = np.random.default_rng(seed)
    log_q = gaussian.log_prob_normal(0.7, rng.normal(size=num_data), rng.normal(size=num_data) - 1)
    return batch_estimates(log_q, 0, weights).mean() / np.exp(log_q).mean()


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("batch_size", [2, 3, 5])
def test_the_estimate_has_the_right_mean_over_all_batches(batch_size, stratified):
    for seed in range(3):
        assert bias(batch_weights(batch_size, 5, stratified), seed=seed) == pytest.approx(1, abs=1e-12)
    if batch_size == 5 and not stratified:
        np.testing.assert_allclose(batch_weights(5, 5), 0.2)  # all the data: the definition


def test_equal_parts_vary_less_than_the_paper_s():
    rng = np.random.default_rng(0)
    log_q = gaussian.log_prob_normal(0.7, rng.normal(size=6), rng.normal(size=6) - 1)
    equal, stratified = (batch_estimates(log_q, 0, batch_weights(3, 6, s)) for s in (False, True))
    assert equal.std() < stratified.std()


def test_the_share_of_its_own_image_in_the_wrong_place_is_biased():
    """The public code's matrix puts 1/N into the first column for every row: for z of image 0's neighbour it is off."""
    weights = batch_weights(3, 5, stratified=True)
    assert abs(bias(weights[[1, 0, 2]]) - 1) > 0.05


# Scores


def test_a_code_for_each_factor_has_the_gap_of_its_information():
    information = np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert mutual_information_gap(information, [2.0, 1.0]) == 1
    assert mutual_information_gap(information, [4.0, 1.0]) == 0.75
    assert mutual_information_gap(np.ones((3, 2)), [2.0, 2.0]) == 0


def test_a_turn_takes_the_gap_from_one_to_nothing():
    """In parts of the information that there is: 1, 0.884, 0.639, 0.377, 0 for ρ² = 0.9."""
    largest = turned_information(0.9, 0.0)[0, 0]
    gaps = [
        mutual_information_gap(turned_information(0.9, math.radians(a)), [largest] * 2) for a in (0, 10, 20, 30, 45)
    ]
    np.testing.assert_allclose(gaps, [1, 0.884, 0.639, 0.377, 0], atol=6e-4)


def test_the_information_after_a_turn_is_that_of_draws():
    rng, n, angle = np.random.default_rng(2), 400_000, 0.4
    factors = rng.standard_normal((n, 2))
    codes = np.sqrt(0.9) * factors + np.sqrt(0.1) * rng.standard_normal((n, 2))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    correlation = np.corrcoef(codes @ turn.T, factors, rowvar=False)[:2, 2:]
    expected = np.sqrt(1 - np.exp(-2 * turned_information(0.9, angle)))
    assert np.all(np.abs(np.abs(correlation) - expected) < 5 / math.sqrt(n))


def test_importance_of_one_for_one_is_best_and_of_all_alike_is_worst():
    assert dci(np.eye(3)) == (1, 1)
    np.testing.assert_allclose(dci(np.ones((4, 3))), 0, atol=1e-12)
    # Two codes share one factor: each still speaks of one, but the factor is told by two.
    one, other = dci([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    assert one == 1 and other == pytest.approx(1 - 0.5 * math.log(2) / math.log(3))


def test_information_in_bins_is_that_of_a_known_table_and_almost_none_without_a_link():
    """A factor of four equal levels: a code that tells it apart holds log 4, one that tells its halves log 2."""
    rng, n = np.random.default_rng(3), 40_000
    levels = np.repeat(np.arange(4.0), n // 4)
    codes = np.stack([levels**2, levels >= 2, rng.standard_normal(n), np.zeros(n)], axis=1)
    information, entropies = binned_information(codes, levels[:, None], bins=4)
    assert entropies == pytest.approx([math.log(4)])
    # The squares 0, 1, 4, 9 fall into the bins 0, 0, 1, 3 of a quarter of nine each.
    np.testing.assert_allclose(information[[0, 1, 3], 0], [1.5 * math.log(2), math.log(2), 0], atol=1e-12)
    assert 0 <= information[2, 0] < 5 * 9 / (2 * n)
    normal = rng.standard_normal((n, 1))
    shared = 0.8 * normal + 0.6 * rng.standard_normal((n, 1))
    found = binned_information(shared, normal, bins=40)[0].item()
    assert found == pytest.approx(-0.5 * math.log(1 - 0.64), rel=0.05)  # cut and counted: some lost, some won


def test_the_importance_of_codes_is_that_of_the_weights_they_were_mixed_with():
    rng = np.random.default_rng(4)
    codes = rng.standard_normal((5000, 3)) * [1.0, 10.0, 0.0]
    factors = np.stack([codes[:, 0], 3 * codes[:, 0] - 0.4 * codes[:, 1]], axis=1)
    expected = [[1, 0.6], [0, 0.8], [0, 0]]
    np.testing.assert_allclose(linear_importance(codes, factors), expected, atol=0.02)


def test_a_constant_factor_has_no_scores():
    codes, factors = np.random.default_rng(5).normal(size=(50, 2)), np.stack([np.arange(50.0), np.ones(50)], axis=1)
    with pytest.raises(ValueError, match=r"the factors \[1\] are constant and have no gap"):
        mutual_information_gap(*binned_information(codes, factors))
    with pytest.raises(ValueError, match=r"factors \[1\] are constant: no code can matter for them"):
        linear_importance(codes, factors)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: kl_parts(np.zeros((2, 3)), np.zeros((2, 3))), r"shape \(images, 1\) or \(images, 2\)"),
        (lambda: kl_parts(np.zeros((2, 1)), np.zeros((2, 1)), [0.5, 0.6]), "data must hold 2 probabilities"),
        (lambda: kl_parts(np.zeros((2, 2)), np.full((2, 2), [[0.0], [-30.0]])), "a grid of at most 4,000,000 nodes"),
        (lambda: batch_weights(1, 5), "batch_size must lie from 2 to num_data, 5; received 1"),
        (lambda: batch_estimates(np.zeros(50), 0, np.ones(5)), "at most 200,000 batches .* have 5,085,024"),
        (lambda: mutual_information_gap(np.ones((2, 2)), [1.0, 0.0]), r"the factors \[1\] are constant"),
        (lambda: mutual_information_gap(np.ones((1, 2)), [1.0, 1.0]), "at least two latent dimensions"),
        (lambda: mutual_information_gap(-np.ones((2, 2)), [1.0, 1.0]), "must not be negative"),
        (lambda: dci(np.zeros((2, 2))), "one above 0"),
        (lambda: binned_information(np.ones(5), np.ones((5, 1))), r"codes must have shape \(n, latent_dim\)"),
        (lambda: binned_information(np.ones((5, 1)), np.ones((5, 1)), 1), "bins must be at least 2; received 1"),
        (lambda: turned_information(1.0, 0.0), "rho_square must be one number from 0 to 1, 1 left out"),
    ],
)
def test_what_cannot_be_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
