"""q(z|x) against scipy.stats, and its noise."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from vaelib.posteriors import DiagonalNormal


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
    draw = tf.function(lambda: q.sample(np.zeros((1, 6), "float32")))
    assert not np.array_equal(draw(), draw())


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
    x = tf.constant(params)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = q.sample(x, eps)
    gradient = tape.gradient(z, x)
    np.testing.assert_allclose(gradient[:, :3], 1.0)
    np.testing.assert_allclose(gradient[:, 3:], 0.5 * np.exp(params[:, 3:] / 2) * eps, rtol=1e-5)


@pytest.mark.parametrize("latent_dim", [0, -2, 1.5, "2", None])
def test_the_latent_dim_is_a_positive_whole_number(latent_dim):
    with pytest.raises(ValueError, match="latent_dim must be a whole number of at least 1; received"):
        DiagonalNormal(latent_dim)


def test_wrong_shapes_are_refused_by_name(q, params):
    with pytest.raises(ValueError, match=r"params must have 6 numbers .* received shape \(4, 5\)"):
        q.sample(params[:, :5])
    # One number would broadcast against the three dimensions, and give a wrong density without a word.
    with pytest.raises(ValueError, match=r"z must have 3 numbers .* received shape \(4, 1\)"):
        q.log_prob(np.zeros((4, 1)), params)
    with pytest.raises(ValueError, match=r"eps must have 3 numbers .* received shape \(4, 1\)"):
        q.sample(params, np.zeros((4, 1)))


def test_its_configuration_makes_it_again(q, params):
    config = keras.saving.serialize_keras_object(q)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is DiagonalNormal and copy.get_config() == q.get_config()
    assert copy.latent_dim == 3 and copy.seed == 1
