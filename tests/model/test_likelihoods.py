"""p(x|z) against scipy.stats: sums over the pixels, in nats, one value per example."""

import keras
import numpy as np
import pytest
from gradients import value_and_gradients
from scipy import integrate, stats
from scipy.special import expit, gammaln

from vaelib.model.likelihoods import (
    Bernoulli,
    ContinuousBernoulli,
    IsotropicNormal,
    NegativeBinomial,
    Normal,
    Poisson,
    log_rising,
)

SHAPE = (3, 2)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_bernoulli_is_scipys_for_black_and_white_images(rng):
    x, logits = rng.integers(0, 2, (5, *SHAPE)).astype("float32"), rng.normal(0, 3, (5, 6))
    expected = stats.bernoulli.logpmf(x.reshape(5, 6).astype(int), expit(logits)).sum(axis=1)
    result = Bernoulli(SHAPE).log_prob(x, logits)
    assert result.shape == (5,)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_bernoulli_of_a_grey_image_is_the_negative_cross_entropy(rng):
    x, logits = rng.uniform(size=(5, *SHAPE)), rng.normal(size=(4, 5, 6))
    p, grey = expit(logits), x.reshape(5, 6)
    expected = (grey * np.log(p) + (1 - grey) * np.log1p(-p)).sum(axis=-1)
    result = Bernoulli(SHAPE).log_prob(x, logits)
    assert result.shape == (4, 5)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_bernoulli_stays_exact_where_a_probability_would_round_to_zero():
    x = np.array([[1.0], [0.0], [1.0]], "float32")
    logits = np.array([[-200.0], [200.0], [200.0]])
    np.testing.assert_allclose(Bernoulli(1).log_prob(x, logits), [-200, -200, 0], atol=1e-30)


def test_normal_is_scipys(rng):
    x, params = rng.uniform(size=(5, *SHAPE)), rng.normal(0, 2, (4, 5, 12))
    mean, log_var = expit(params[..., :6]), params[..., 6:]
    expected = stats.norm.logpdf(x.reshape(5, 6), mean, np.exp(log_var / 2)).sum(axis=-1)
    result = Normal(SHAPE, log_var_range=(-20, 20)).log_prob(x, params)
    assert result.shape == (4, 5)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)


def test_normal_clips_its_log_variance(rng):
    x = rng.uniform(size=(3, *SHAPE))
    params = np.concatenate([rng.normal(size=(3, 6)), [[-9.0] * 6, [9.0] * 6, [0.3] * 6]], axis=1)
    for low, high in [(-5, 5), (-2, 1)]:
        std = np.exp(np.clip(params[:, 6:], low, high) / 2)
        expected = stats.norm.logpdf(x.reshape(3, 6), expit(params[:, :6]), std).sum(axis=1)
        np.testing.assert_allclose(Normal(SHAPE, (low, high)).log_prob(x, params), expected, rtol=1e-4)


def test_a_density_can_exceed_one():
    # Where the mean meets the pixel and the variance its floor: 2.5 - log(2 pi) / 2 = 1.58 nats per pixel.
    x, params = np.full((1, *SHAPE), 0.5), np.concatenate([np.zeros((1, 6)), np.full((1, 6), -9.0)], axis=1)
    np.testing.assert_allclose(Normal(SHAPE).log_prob(x, params), [6 * (2.5 - np.log(2 * np.pi) / 2)], rtol=1e-5)


@pytest.mark.parametrize("likelihood", [Bernoulli, Normal])
def test_means_have_the_shape_of_the_data_and_lie_in_its_range(likelihood, rng):
    p = likelihood((3, 2, 2))
    params = rng.normal(0, 3, (4, 5, p.params_size))
    mean = np.asarray(p.mean(params))
    assert mean.shape == (4, 5, 3, 2, 2)
    np.testing.assert_allclose(mean.reshape(4, 5, 12), expit(params[..., :12]), rtol=1e-5, atol=1e-7)


def test_bernoulli_samples_are_black_or_white_with_the_named_probabilities(rng):
    n, p = 20_000, Bernoulli(SHAPE, seed=0)
    logits = rng.normal(size=6)
    x = np.asarray(p.sample(np.tile(logits, (n, 1))))
    assert x.shape == (n, *SHAPE) and set(np.unique(x)) == {0.0, 1.0}
    probability = expit(logits).reshape(SHAPE)
    assert np.all(np.abs(x.mean(axis=0) - probability) < 4 * np.sqrt(probability * (1 - probability) / n))


def test_normal_samples_have_the_named_mean_and_variance(rng):
    n, p = 20_000, Normal(SHAPE, seed=0)
    params = np.concatenate([rng.normal(size=6), rng.normal(size=6)])
    x = np.asarray(p.sample(np.tile(params, (n, 1)))).reshape(n, 6)
    variance = np.exp(params[6:])
    assert np.all(np.abs(x.mean(axis=0) - expit(params[:6])) < 4 * np.sqrt(variance / n))
    assert np.all(np.abs(x.var(axis=0) - variance) < 4 * variance * np.sqrt(2 / n))


@pytest.mark.parametrize("likelihood", [Bernoulli, ContinuousBernoulli, Normal, IsotropicNormal])
def test_two_samples_differ(likelihood):
    p = likelihood((8, 8), seed=3)
    params = np.zeros((1, p.params_size))
    assert not np.array_equal(p.sample(params), p.sample(params))


@pytest.mark.parametrize("likelihood", [Bernoulli, ContinuousBernoulli])
@pytest.mark.parametrize(
    "x, message",
    [
        (np.full((2, *SHAPE), 255), r"x must hold floating-point numbers in \[0, 1\].*int64.*255.*Divide by 255"),
        (np.full((2, *SHAPE), 200, "uint8"), "dtype uint8 with values from 200 to 200. Divide by 255"),
        (np.ones((2, *SHAPE), int), r"dtype int64 .* Call x.astype\('float32'\)"),
        (np.ones((2, *SHAPE), bool), r"dtype bool .* Call x.astype\('float32'\)"),
        (np.full((2, *SHAPE), 255.0), r"x must be scaled to \[0, 1\] .* from 255 to 255. Divide by 255"),
        (np.full((2, *SHAPE), -0.1), "received values from -0.1 to -0.1. Rescale it"),
        (np.full((2, *SHAPE), 1.0001), r"x must be scaled to \[0, 1\]"),
        (np.full((2, *SHAPE), np.nan), "x must be finite; example 0 holds NaN"),
        (np.zeros((2, 6)), r"x must have shape \(n, 3, 2\); received \(2, 6\)"),
        (np.zeros((0, *SHAPE)), "x holds no example"),
    ],
)
def test_bernoullis_say_what_is_wrong_with_the_pixels(likelihood, x, message):
    with pytest.raises(ValueError, match=message):
        likelihood(SHAPE).check(x)
    if len(x):
        with pytest.raises(ValueError):
            likelihood(SHAPE).log_prob(x, np.zeros((2, 6)))


def test_bernoulli_refuses_a_tensor_of_integers():
    with pytest.raises(ValueError, match=r"floating-point numbers in \[0, 1\]; received a tensor of .*int32"):
        Bernoulli(SHAPE).log_prob(keras.ops.ones((2, *SHAPE), "int32"), np.zeros((2, 6)))


def test_isotropic_normal_takes_any_finite_numbers_and_normal_what_its_means_can_reach():
    assert IsotropicNormal(SHAPE).check(np.full((2, *SHAPE), 3)).dtype == np.float32
    for likelihood in (IsotropicNormal, Normal):
        with pytest.raises(ValueError, match="x must be finite; example 1 holds"):
            likelihood(SHAPE).check(np.stack([np.zeros(SHAPE), np.full(SHAPE, np.inf)]))
    with pytest.raises(ValueError, match=r"x must be scaled to \[0, 1\] for a Normal likelihood; received .* to 3\."):
        Normal(SHAPE).check(np.full((2, *SHAPE), 3.0))


@pytest.mark.parametrize("likelihood", [Bernoulli, ContinuousBernoulli, Normal, IsotropicNormal])
def test_wrong_shapes_are_refused_by_name(likelihood):
    p, x = likelihood(SHAPE), keras.ops.zeros((2, *SHAPE))
    with pytest.raises(ValueError, match=rf"params must have {p.params_size} numbers .* received shape \(2, 5\)"):
        p.log_prob(x, np.zeros((2, 5)))
    with pytest.raises(ValueError, match=r"(x|value) must have shape \(..., 3, 2\).* received \(2, 6\)"):
        p.log_prob(keras.ops.zeros((2, 6)), np.zeros((2, p.params_size)))
    with pytest.raises(ValueError, match=r"event_shape\[1\] must be a whole number of at least 1; received 0"):
        likelihood((3, 0))


@pytest.mark.parametrize("likelihood", [Bernoulli, ContinuousBernoulli, Normal, IsotropicNormal])
def test_one_image_meets_every_row_of_parameters(likelihood, rng):
    """Leading axes broadcast: what a sum over several decoded codes of one image needs."""
    p, x = likelihood(SHAPE), rng.uniform(size=SHAPE).astype("float32")
    params = rng.normal(size=(4, p.params_size)).astype("float32")
    each = [float(p.log_prob(x[None], row[None])[0]) for row in params]
    np.testing.assert_allclose(p.log_prob(x, params), each, rtol=1e-5)


@pytest.mark.parametrize("log_var_range", [(5, -5), (1, 1), (-np.inf, 0), (0, np.nan), 3, (1, 2, 3)])
def test_the_clip_is_two_finite_increasing_numbers(log_var_range):
    with pytest.raises(ValueError, match="log_var_range must be two finite, increasing numbers; received"):
        Normal(SHAPE, log_var_range)


@pytest.mark.parametrize(
    "p",
    [
        Bernoulli(SHAPE, seed=4),
        ContinuousBernoulli(SHAPE, seed=4),
        Normal(SHAPE, (-3.0, 2.0), seed=4),
        IsotropicNormal(SHAPE, seed=4),
    ],
)
def test_its_configuration_makes_it_again(p):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(p))
    assert type(copy) is type(p) and copy.get_config() == p.get_config() and copy.event_shape == SHAPE


# ContinuousBernoulli --------------------------------------------------------------------------------------------

LOGITS = [-60.0, -8.0, -0.51, -0.49, -1e-3, 0.0, 1e-6, 0.02, 0.49, 0.51, 3.0, 25.0, 150.0]


def moment(logit, power):
    """The integral over [0, 1] of x^power exp(logit * (x - peak)) by quadrature in float64; peak: the brightest end."""
    peak = float(logit > 0)
    where_it_lives = abs(peak - 20 / max(abs(logit), 40.0))

    def integrand(x):
        return x**power * np.exp(logit * (x - peak))

    return integrate.quad(integrand, 0, 1, points=[where_it_lives], epsabs=0, epsrel=1e-12)[0]


@pytest.mark.parametrize("logit", LOGITS)
def test_continuous_bernoulli_is_normalised_by_quadrature(logit):
    x = np.array([0.0, 0.01, 0.3, 0.5, 0.99, 1.0], "float32")
    result = ContinuousBernoulli(1).log_prob(x[:, None], np.full((6, 1), logit))
    expected = logit * (x.astype(float) - float(logit > 0)) - np.log(moment(logit, 0))
    np.testing.assert_allclose(result, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("logit", LOGITS)
def test_its_mean_and_its_gradient_are_those_of_quadrature(logit):
    """The gradient of log p(x) is x minus the mean, so a digit lost in the normaliser's gradient shows here."""
    expected = moment(logit, 1) / moment(logit, 0)
    p, params = ContinuousBernoulli(1), np.array([[logit]], "float32")
    np.testing.assert_allclose(p.mean(params), [[expected]], rtol=1e-6)
    _, (gradient,) = value_and_gradients(lambda params: p.log_prob(np.array([[0.25]]), params), params)
    np.testing.assert_allclose(gradient, [[0.25 - expected]], rtol=2e-6, atol=1e-6)


def test_the_mean_of_a_continuous_bernoulli_is_not_the_sigmoid():
    mean = np.asarray(ContinuousBernoulli(3).mean([[-4.0, 0.0, 4.0]]))
    assert mean[0, 0] > expit(-4) + 0.2 and mean[0, 1] == 0.5 and mean[0, 2] < expit(4) - 0.2


def test_the_normaliser_is_what_the_bernoulli_recipe_lacks(rng):
    x, logits = rng.uniform(size=(5, *SHAPE)), rng.normal(size=(4, 5, 6))
    p = ContinuousBernoulli(SHAPE)
    lacking = p.log_prob(x, logits) - Bernoulli(SHAPE).log_prob(x, logits)
    probability = expit(logits)
    # The closed form of the paper, equation 7, away from one half where it is 0 / 0.
    expected = np.log(2 * np.arctanh(1 - 2 * probability) / (1 - 2 * probability)).sum(axis=-1)
    assert lacking.shape == (4, 5)
    np.testing.assert_allclose(lacking, expected, rtol=1e-5)
    np.testing.assert_allclose(p.log_normaliser(np.zeros((1, 6))), np.log(2), rtol=1e-6)


def test_the_error_names_the_likelihood():
    with pytest.raises(ValueError, match="for a ContinuousBernoulli likelihood"):
        ContinuousBernoulli(SHAPE).check(np.full((2, *SHAPE), 255.0))


def test_extreme_logits_stay_finite_and_so_does_their_gradient():
    params = np.array([[-1e4, -90.0, 0.0, 90.0, 1e4, 1e-30]], "float32")
    value, (gradient,) = value_and_gradients(
        lambda params: ContinuousBernoulli(6).log_prob(np.full((1, 6), 0.5), params), params
    )
    assert np.isfinite(value) and np.all(np.isfinite(gradient))


@pytest.mark.parametrize("logit", [-30.0, -2.0, -1e-7, 0.0, 0.3, 2.0, 200.0])
def test_continuous_bernoulli_samples_follow_its_distribution_function(logit):
    x = np.asarray(ContinuousBernoulli(1, seed=0).sample(np.full((20_000, 1), logit)))[:, 0].astype(float)
    assert x.min() >= 0 and x.max() <= 1
    peak = float(logit > 0)

    def distribution(t):
        if abs(logit) < 1e-6:
            return t
        low, high = np.exp(-logit * peak), np.exp(logit * (1 - peak))
        return (np.exp(logit * (t - peak)) - low) / (high - low)

    assert stats.kstest(x, distribution).pvalue > 1e-3


# IsotropicNormal ---------------------------------------------------------------------------------------------------


def test_isotropic_normal_is_scipys_with_one_variance(rng):
    p = IsotropicNormal(SHAPE)
    p.log_var.assign(-1.3)
    x, means = rng.normal(size=(5, *SHAPE)), rng.normal(size=(4, 5, 6))
    result = p.log_prob(x, means)
    assert result.shape == (4, 5) and p.params_size == 6 and len(p.trainable_variables) == 1
    expected = stats.norm.logpdf(x.reshape(5, 6), means, np.exp(-0.65)).sum(axis=-1)
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    np.testing.assert_allclose(p.mean(means), means.reshape(4, 5, *SHAPE), rtol=1e-6)


def test_isotropic_normal_samples_have_the_named_mean_and_variance(rng):
    n, p, means = 20_000, IsotropicNormal(SHAPE, seed=0), rng.normal(size=6)
    p.log_var.assign(0.8)
    x, variance = np.asarray(p.sample(np.tile(means, (n, 1)))).reshape(n, 6), np.exp(0.8)
    assert np.all(np.abs(x.mean(axis=0) - means) < 4 * np.sqrt(variance / n))
    assert np.all(np.abs(x.var(axis=0) - variance) < 4 * variance * np.sqrt(2 / n))


@pytest.mark.parametrize("dispersion", ["feature", "network"])
def test_negative_binomial_is_scipys(rng, dispersion):
    x = rng.integers(0, 40, (5, *SHAPE))
    log_mean, log_theta = rng.normal(1, 2, (4, 5, 6)), rng.normal(0, 2, (4, 5, 6))
    likelihood = NegativeBinomial(SHAPE, dispersion)
    if dispersion == "feature":
        log_theta = np.broadcast_to(log_theta[0, 0], log_theta.shape)
        likelihood.log_dispersion.assign(log_theta[0, 0])
        params = log_mean
    else:
        params = np.concatenate([log_mean, log_theta], axis=-1)
    mean, theta = np.exp(log_mean), np.exp(log_theta)
    expected = stats.nbinom.logpmf(x.reshape(5, 6), theta, theta / (theta + mean)).sum(axis=-1)
    np.testing.assert_allclose(likelihood.log_prob(x, params), expected, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(likelihood.mean(params), mean.reshape(4, 5, *SHAPE), rtol=1e-5)


def test_poisson_is_scipys_and_the_limit_of_the_negative_binomial(rng):
    x, log_mean = rng.integers(0, 400, (5, 6)), rng.normal(1, 2, (5, 6))
    expected = stats.poisson.logpmf(x, np.exp(log_mean)).sum(axis=-1)
    np.testing.assert_allclose(Poisson(6).log_prob(x, log_mean), expected, rtol=1e-5)
    few = rng.integers(0, 9, (5, 6))
    with_theta = np.concatenate([log_mean, np.full((5, 6), 14.0)], axis=-1)  # theta is a million
    limit = NegativeBinomial(6, "network").log_prob(few, with_theta)
    np.testing.assert_allclose(limit, Poisson(6).log_prob(few, log_mean), rtol=1e-3)


def test_the_rising_factorial_is_a_difference_of_log_gammas(rng):
    a, x = np.exp(rng.uniform(-8, 12, 200)), np.round(np.exp(rng.uniform(-2, 9, 200)))
    # In 64 bits: in 32 the difference of two log-gammas has no digit left where a is large.
    np.testing.assert_allclose(log_rising(a, x), gammaln(a + x) - gammaln(a), rtol=1e-5, atol=1e-4)


def test_draws_of_large_counts_have_their_mean_and_variance():
    mean, theta, n = 800.0, 4.0, 4000
    likelihood = NegativeBinomial(1, "network", seed=0)
    drawn = np.array(likelihood.sample(np.log([[mean, theta]]), num=n)).ravel()
    std = np.sqrt(mean + mean**2 / theta)
    assert abs(drawn.mean() - mean) < 5 * std / np.sqrt(n)
    assert drawn.std() == pytest.approx(std, rel=0.1)


def test_counts_are_whole_and_not_negative():
    likelihood = Poisson(2)
    assert likelihood.check([[0, 3]]).dtype == "float32"
    for bad, shown in (([[0.5, 1.0]], "0.5"), ([[-1, 3]], "-1")):
        with pytest.raises(ValueError, match=f"x must hold counts, whole numbers of at least 0.*received {shown}"):
            likelihood.check(np.array(bad))
    with pytest.raises(ValueError, match='dispersion must be "feature" or "network"'):
        NegativeBinomial(2, "gene")
