"""q(z|x) against scipy.stats, and its noise."""

import keras
import numpy as np
import pytest
from gradients import value_and_gradients
from keras import ops
from parts import network_of_two
from scipy import stats

from vaelib.model.distributions import kl_divergence
from vaelib.model.posteriors import DiagonalNormal, FullNormal, ImplicitPosterior
from vaelib.model.priors import StandardNormal
from vaelib.training.compilation import compiled


@pytest.fixture
def params():
    return np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


@pytest.fixture
def q():
    return DiagonalNormal(3, seed=1)


def test_the_log_density_is_scipys(q, params):
    z = np.random.default_rng(1).normal(size=(5, 4, 3))
    mu, log_var = params[:, :3], params[:, 3:]
    expected = stats.norm.logpdf(z, mu, np.exp(log_var / 2)).sum(axis=-1)
    result = q.log_prob(z, params)
    assert result.shape == (5, 4)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_the_parameters_are_the_means_then_the_log_variances(q, params):
    mu, log_var = q.split(params)
    np.testing.assert_array_equal(mu, params[:, :3])
    np.testing.assert_array_equal(log_var, params[:, 3:])
    np.testing.assert_array_equal(q.mean(params), params[:, :3])
    assert q.params_size == 6


def test_a_sample_is_a_function_of_the_noise(q, params):
    eps = np.random.default_rng(2).normal(size=(7, 4, 3))
    z = q.sample(params, eps)
    assert z.shape == (7, 4, 3)
    np.testing.assert_allclose(z, params[:, :3] + np.exp(params[:, 3:] / 2) * eps, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(z, q.sample(params, eps))


def test_each_call_draws_fresh_noise_and_each_example_its_own(q):
    params = np.zeros((4, 6))
    first, second = np.asarray(q.sample(params)), np.asarray(q.sample(params))
    assert len(np.unique(np.concatenate([first, second]))) == 24


def test_the_noise_is_fresh_inside_a_compiled_graph(q):
    draw, params = compiled(lambda q, params: q.sample(params)), np.zeros((1, 6), "float32")
    assert not np.array_equal(draw(q, params), draw(q, params))


def test_a_seed_makes_two_layers_draw_alike(params):
    a, b, c = (np.asarray(DiagonalNormal(3, seed=seed).sample(params)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_samples_have_the_mean_and_variance_that_the_parameters_name(q):
    n, mu, log_var = 20_000, np.array([1.0, -2.0, 0.0]), np.array([0.5, -1.0, 1.0])
    z = np.asarray(q.sample(np.tile(np.concatenate([mu, log_var]), (n, 1))))
    variance = np.exp(log_var)
    assert np.all(np.abs(z.mean(axis=0) - mu) < 4 * np.sqrt(variance / n))
    assert np.all(np.abs(z.var(axis=0) - variance) < 4 * variance * np.sqrt(2 / n))


def test_the_gradient_flows_through_the_mean_and_the_standard_deviation(q, params):
    eps = np.random.default_rng(3).normal(size=(4, 3)).astype("float32")
    _, (gradient,) = value_and_gradients(lambda params: q.sample(params, eps), params)
    np.testing.assert_allclose(gradient[:, :3], 1.0)
    np.testing.assert_allclose(gradient[:, 3:], 0.5 * np.exp(params[:, 3:] / 2) * eps, rtol=1e-5)


@pytest.mark.parametrize("event_shape", [0, -2, 1.5, "2", None, (2, 0)])
def test_the_event_shape_is_made_of_positive_whole_numbers(event_shape):
    with pytest.raises(ValueError, match=r"event_shape(\[\d\])? must be a whole number of at least 1; received"):
        DiagonalNormal(event_shape)
    assert DiagonalNormal(2).event_shape == (2,) and DiagonalNormal((3, 2)).event_shape == (3, 2)


def test_wrong_shapes_are_refused_by_name(q, params):
    with pytest.raises(ValueError, match=r"params must have 6 numbers .* received shape \(4, 5\)"):
        q.sample(params[:, :5])
    # One number would broadcast against the three dimensions, and give a wrong density without a word.
    with pytest.raises(ValueError, match=r"value must have shape \(..., 3\).* received \(4, 1\)"):
        q.log_prob(np.zeros((4, 1)), params)
    with pytest.raises(ValueError, match=r"noise must have shape \(..., 3\).* received \(4, 1\)"):
        q.sample(params, np.zeros((4, 1)))


def test_its_configuration_makes_it_again(q, params):
    config = keras.saving.serialize_keras_object(q)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is DiagonalNormal and copy.get_config() == q.get_config()
    assert copy.event_shape == (3,) and copy.seed == 1


# FullNormal ----------------------------------------------------------------------------------------------------


@pytest.fixture
def full():
    return FullNormal(3, seed=1)


@pytest.fixture
def full_params():
    return np.random.default_rng(0).normal(size=(4, 9)).astype("float32")


def factor(row):
    """Build L from one row of parameters, number by number."""
    a, b, c = np.exp(row[3:6] / 2)
    return np.array([[a, 0, 0], [row[6], b, 0], [row[7], row[8], c]], dtype=float)


def test_the_full_log_density_is_scipys(full, full_params):
    z = np.random.default_rng(1).normal(size=(5, 4, 3))
    result = full.log_prob(z, full_params)
    assert result.shape == (5, 4) and full.params_size == 9
    for i, row in enumerate(full_params):
        covariance = factor(row) @ factor(row).T
        expected = stats.multivariate_normal(row[:3].astype(float), covariance).logpdf(z[:, i])
        np.testing.assert_allclose(result[:, i], expected, rtol=1e-4)


def test_the_full_density_of_every_code_under_every_example(full, full_params):
    # As a mixture of posteriors needs it: codes (5, 1, 3) against parameters (4, 9).
    z = np.random.default_rng(1).normal(size=(5, 1, 3))
    each = np.stack([full.log_prob(z[:, 0], row) for row in full_params], axis=1)
    np.testing.assert_allclose(full.log_prob(z, full_params), each, rtol=1e-5)


def test_the_full_parameters_are_the_means_then_the_factor(full, full_params):
    mu, cholesky = full.split(full_params)
    np.testing.assert_array_equal(mu, full_params[:, :3])
    np.testing.assert_array_equal(full.mean(full_params), full_params[:, :3])
    np.testing.assert_allclose(cholesky, [factor(row) for row in full_params], rtol=1e-6)


def test_a_full_sample_is_a_function_of_the_noise(full, full_params):
    eps = np.random.default_rng(2).normal(size=(7, 4, 3))
    z = np.asarray(full.sample(full_params, eps))
    for i, row in enumerate(full_params):
        np.testing.assert_allclose(z[:, i], row[:3] + eps[:, i] @ factor(row).T, rtol=1e-4, atol=1e-5)
    assert len(np.unique(np.stack([full.sample(full_params), full.sample(full_params)]))) == 24


def test_full_samples_have_the_covariance_that_the_parameters_name(full, full_params):
    n, row = 20_000, full_params[0]
    z = np.asarray(full.sample(np.tile(row, (n, 1))))
    covariance = factor(row) @ factor(row).T
    variance = np.diag(covariance)
    assert np.all(np.abs(z.mean(axis=0) - row[:3]) < 4 * np.sqrt(variance / n))
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
    assert np.all(np.abs(np.cov(z.T) - covariance) < 4 * error)


def test_without_correlation_the_full_posterior_is_the_diagonal_one(full, q, params):
    z = np.random.default_rng(1).normal(size=(4, 3))
    padded = np.concatenate([params, np.zeros((4, 3))], axis=1)
    np.testing.assert_allclose(full.log_prob(z, padded), q.log_prob(z, params), rtol=1e-5)
    np.testing.assert_allclose(full.sample(padded, z), q.sample(params, z), rtol=1e-5, atol=1e-6)
    prior = StandardNormal(3)
    np.testing.assert_allclose(
        kl_divergence(full, padded, prior), kl_divergence(q, params.astype(float), prior), rtol=1e-5
    )


def test_the_gradient_of_the_full_log_density_is_that_of_finite_differences(full, full_params):
    z, row = np.array([0.3, -1.0, 0.5]), full_params[0].astype(float)

    def log_density(row):
        return stats.multivariate_normal(row[:3], factor(row) @ factor(row).T).logpdf(z)

    steps = 1e-5 * np.eye(9)
    expected = [(log_density(row + step) - log_density(row - step)) / 2e-5 for step in steps]
    _, (gradient,) = value_and_gradients(lambda row: full.log_prob(z, row), full_params[0])
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)


def test_wrong_full_shapes_are_refused_by_name(full, full_params):
    with pytest.raises(ValueError, match=r"params must have 9 numbers .* received shape \(4, 6\)"):
        full.sample(full_params[:, :6])
    with pytest.raises(ValueError, match=r"value must have shape \(..., 3\).* received \(4, 1\)"):
        full.log_prob(np.zeros((4, 1)), full_params)
    with pytest.raises(ValueError, match=r"noise must have shape \(..., 3\).* received \(4, 1\)"):
        full.sample(full_params, np.zeros((4, 1)))


def test_one_dimension_has_nothing_below_the_diagonal():
    full, z = FullNormal(1), np.array([[0.5], [2.0]])
    assert full.params_size == 2
    np.testing.assert_allclose(full.log_prob(z, [[1.0, -1.0]]), stats.norm.logpdf(z[:, 0], 1, np.exp(-0.5)), rtol=1e-5)


def test_the_full_configuration_makes_it_again(full):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(full))
    assert type(copy) is FullNormal and copy.get_config() == full.get_config() and copy.seed == 1


# ImplicitPosterior ----------------------------------------------------------------------------------------------------


@pytest.fixture
def implicit():
    return ImplicitPosterior(network_of_two((4,), (3,), 2), num_mean_draws=50, seed=1)


def test_an_implicit_code_is_what_the_network_makes_of_the_encoders_output_and_of_noise(implicit):
    rng = np.random.default_rng(0)
    params, noise = rng.normal(size=(5, 4)).astype("float32"), rng.normal(size=(2, 5, 3)).astype("float32")
    z = ops.convert_to_numpy(implicit.sample(params, noise))
    assert (implicit.event_shape, implicit.params_size, implicit.has_density) == ((2,), 4, False)
    for codes, draw in zip(z, noise, strict=True):
        np.testing.assert_allclose(codes, implicit.network([params, draw]), rtol=1e-5, atol=1e-6)
    assert implicit.noise((2, 5)).shape == (2, 5, 3)
    # The gradient reaches the encoder through the network.
    _, (gradient,) = value_and_gradients(lambda params: implicit.sample(params, noise), params)
    assert np.all(gradient != 0)


def test_an_implicit_mean_averages_over_fixed_draws(implicit):
    params = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    mean = ops.convert_to_numpy(implicit.mean(params))
    np.testing.assert_array_equal(mean, implicit.mean(params))
    np.testing.assert_allclose(mean[:2], implicit.mean(params[:2]), rtol=1e-5)  # each example's own, whatever the batch
    samples = ops.convert_to_numpy(implicit.sample(params, num=4_000))
    assert np.all(np.abs(mean - samples.mean(axis=0)) < 5 * samples.std(axis=0) / np.sqrt(50))


def test_the_network_of_an_implicit_posterior_has_two_inputs(implicit):
    one_input = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="network must have two inputs, params and noise; received 1"):
        ImplicitPosterior(one_input)
    with pytest.raises(ValueError, match="num_mean_draws must be a whole number of at least 1; received 0"):
        ImplicitPosterior(implicit.network, num_mean_draws=0)


@pytest.mark.parametrize("kind", [DiagonalNormal, FullNormal])
@pytest.mark.parametrize("log_var", [-1000.0, -200.0, -100.0, 90.0, 1000.0])
def test_a_variance_beyond_a_float_gives_no_nan(kind, log_var):
    """The density of the own sample and the KL stay numbers, and are those of the nearest variance that can be held."""
    posterior, held = kind(2), np.clip(log_var, -80, 80)
    params = np.zeros((4, posterior.params_size), "float32")
    params[:, 2:4] = log_var
    z, log_q = posterior.sample_and_log_prob(params, noise=np.full((4, 2), 0.5, "float32"))
    expected = 2 * stats.norm.logpdf(0.5) - held
    np.testing.assert_allclose(log_q, expected, rtol=1e-5)
    np.testing.assert_allclose(posterior.log_prob(z, params), expected, rtol=1e-5)
    kl = kl_divergence(posterior, params, StandardNormal(2))
    np.testing.assert_allclose(kl, np.exp(held) - 1 - held, rtol=1e-5)
