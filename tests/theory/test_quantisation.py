"""Quantisers of a normal against tables and quadrature; steps of k-means against sums by hand."""

import numpy as np
import pytest
from scipy import integrate, stats

from vaelib.theory.quantisation import (
    NormalQuantiser,
    distortion,
    entropy_bits,
    kmeans,
    lloyd_step,
    moving_step,
    nearest,
    perplexity,
    shannon_distortion,
    shares,
)

RNG = np.random.default_rng(0)
X, CODES = RNG.normal(size=(60, 2)), np.array([[0.0, 0.0], [1.0, 0.5], [-1.0, 1.0], [50.0, 50.0]])


# Max (1960), table I.
@pytest.mark.parametrize("k, expected", [(2, 1 - 2 / np.pi), (4, 0.1175), (8, 0.03454), (16, 0.009497)])
def test_the_best_quantisers_of_a_normal(k, expected):
    best = NormalQuantiser(k)
    assert best.distortion == pytest.approx(expected, abs=2e-5)  # of four digits
    ends = [-9, *best.edges, 9]
    parts = [
        integrate.quad(lambda x, c=c: (x - c) ** 2 * stats.norm.pdf(x), low, high, epsabs=1e-12)[0]
        for c, low, high in zip(best.codes, ends[:-1], ends[1:], strict=True)
    ]
    assert best.distortion == pytest.approx(sum(parts), abs=1e-10)
    np.testing.assert_allclose(best.means(best.codes), best.codes, atol=1e-10)
    assert best.distortion > shannon_distortion(entropy_bits(best.share)) > shannon_distortion(np.log2(k)) - 1e-12


def test_a_step_is_the_mean_of_each_cell():
    after, chosen = lloyd_step(X, CODES), nearest(X, CODES)
    for k in range(3):
        np.testing.assert_allclose(after[k], X[chosen == k].mean(axis=0), atol=1e-14)
    np.testing.assert_array_equal(after[3], CODES[3])  # dead: it stays
    assert distortion(X, after) < distortion(X, CODES)
    weights = RNG.integers(1, 4, 60)
    repeated = np.repeat(X, weights, axis=0)
    np.testing.assert_allclose(lloyd_step(X, CODES, weights), lloyd_step(repeated, CODES), atol=1e-12)
    assert distortion(X, CODES, weights) == pytest.approx(distortion(repeated, CODES))
    np.testing.assert_allclose(shares(X, CODES, weights), shares(repeated, CODES))


def test_moving_averages_without_memory_are_a_lloyd_step_and_with_it_the_mean_of_all():
    counts, sums = RNG.uniform(1, 2, 4), RNG.normal(size=(4, 2))
    np.testing.assert_allclose(moving_step(X, CODES, counts, sums, 0.0)[0], lloyd_step(X, CODES), atol=1e-12)
    codes, counts, sums = CODES, np.ones(4), CODES.copy()
    for _ in range(400):  # the same points for ever: a fixed point is one of Lloyd's
        codes, counts, sums = moving_step(X, codes, counts, sums, 0.9)
    np.testing.assert_allclose(lloyd_step(X, codes)[:3], codes[:3], atol=1e-6)


def test_perplexity_is_how_many_codes_used_equally_say_as_much():
    assert perplexity([0.25] * 4) == pytest.approx(4) and perplexity([1.0, 0.0]) == pytest.approx(1)
    assert entropy_bits([0.5, 0.25, 0.25]) == pytest.approx(1.5)


def test_kmeans_finds_groups_that_lie_apart():
    centres = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    x = np.repeat(centres, 20, axis=0) + 0.1 * RNG.normal(size=(60, 2))
    found = kmeans(x, 3, np.random.default_rng(0))
    np.testing.assert_allclose(found[nearest(centres, found)], centres, atol=0.2)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: nearest(X, CODES[:, :1]), "x must have shape"),
        (lambda: lloyd_step(X, CODES, np.zeros(60)), "weights must be positive"),
        (lambda: distortion(X, CODES, np.ones(3)), r"weights must have shape \(60,\)"),
        (lambda: moving_step(X, CODES, np.ones(4), CODES, 1.0), "decay must lie from 0 to below 1"),
        (lambda: kmeans(X, 61, RNG), "num_codes must be at most the number of points, 60"),
        (lambda: NormalQuantiser(1), "num_codes must be at least 2"),
        (lambda: perplexity([0.5, 0.2]), "share must be probabilities"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
