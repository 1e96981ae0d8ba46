"""p(z) against scipy.stats; the closed-form KL against quadrature and against Monte Carlo."""

import keras
import numpy as np
import pytest
from scipy import integrate, stats

from vaelib.posteriors import DiagonalNormal
from vaelib.priors import Prior, StandardNormal


def test_the_log_density_is_scipys():
    z = np.random.default_rng(0).normal(0, 2, (4, 5, 3))
    result = StandardNormal(3).log_prob(z)
    assert result.shape == (4, 5)
    np.testing.assert_allclose(result, stats.norm.logpdf(z).sum(axis=-1), rtol=1e-5)


def test_samples_are_standard_normal_and_fresh():
    prior, n = StandardNormal(2, seed=0), 20_000
    z = np.asarray(prior.sample(n))
    assert z.shape == (n, 2)
    assert np.all(np.abs(z.mean(axis=0)) < 4 / np.sqrt(n))
    assert np.all(np.abs(np.cov(z.T) - np.eye(2)) < 4 * np.sqrt(2 / n))
    assert not np.array_equal(z, prior.sample(n))


@pytest.mark.parametrize("mu, log_var", [(0.0, 0.0), (1.5, -1.0), (-0.7, 1.2), (2.0, -4.0)])
def test_the_closed_form_is_the_integral(mu, log_var):
    sigma = np.exp(log_var / 2)

    def integrand(z):
        log_q = stats.norm.logpdf(z, mu, sigma)
        return np.exp(log_q) * (log_q - stats.norm.logpdf(z))

    expected = integrate.quad(integrand, mu - 12 * sigma, mu + 12 * sigma, epsabs=1e-10)[0]
    kl = StandardNormal(1).kl(DiagonalNormal(1), [[mu, log_var]])
    np.testing.assert_allclose(kl, [expected], rtol=1e-5, atol=1e-6)


def test_the_closed_form_sums_over_dimensions_and_is_one_value_per_example():
    params = np.random.default_rng(0).normal(size=(5, 6))
    kl = np.asarray(StandardNormal(3).kl(DiagonalNormal(3), params))
    each = [StandardNormal(1).kl(DiagonalNormal(1), params[:, [j, j + 3]]) for j in range(3)]
    np.testing.assert_allclose(kl, np.sum(each, axis=0), rtol=1e-5)
    assert kl.shape == (5,)


def test_the_monte_carlo_estimate_meets_the_closed_form_within_its_error():
    q, prior, n = DiagonalNormal(2, seed=0), StandardNormal(2), 20_000
    params = np.array([[1.0, -0.5, -1.0, 0.7]])
    z = q.sample(params, q.noise((n, 1, 2)))
    estimates = np.asarray(Prior.kl(prior, q, params, z))
    assert estimates.shape == (n, 1)
    error = estimates.std() / np.sqrt(n)
    assert abs(estimates.mean() - float(prior.kl(q, params)[0])) < 4 * error


class Uniform(keras.layers.Layer):
    """A posterior of another family: uniform on a square of the given side."""

    def log_prob(self, z, params):
        return -2 * keras.ops.log(params[..., 0]) + 0 * z[..., 0]


def test_a_posterior_of_another_family_takes_the_monte_carlo_estimate():
    z = np.array([[0.5, 1.0], [2.0, 0.0]], "float32")
    kl = StandardNormal(2).kl(Uniform(), keras.ops.convert_to_tensor([[4.0], [5.0]]), z)
    np.testing.assert_allclose(kl, -2 * np.log([4, 5]) - stats.norm.logpdf(z).sum(axis=1), rtol=1e-5)


def test_bad_sizes_are_refused_by_name():
    with pytest.raises(ValueError, match="latent_dim must be a whole number of at least 1; received 0"):
        StandardNormal(0)
    with pytest.raises(ValueError, match=r"z must have 2 numbers .* received shape \(4, 3\)"):
        StandardNormal(2).log_prob(np.zeros((4, 3)))


def test_its_configuration_makes_it_again():
    prior = StandardNormal(3, seed=2)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(prior))
    assert type(copy) is StandardNormal and copy.get_config() == prior.get_config() and copy.seed == 2
