"""p(z) against scipy.stats; the closed-form KL against quadrature and against Monte Carlo."""

import keras
import numpy as np
import pytest
from keras import ops
from parts import implicit
from scipy import integrate, stats

from vaelib.model.distributions import Distribution, closed_form_kl, kl_divergence, register_kl
from vaelib.model.networks import dense_encoder
from vaelib.model.posteriors import DiagonalNormal, FullNormal
from vaelib.model.priors import MixturePrior, StandardNormal, VampPrior, kl_diagonal_standard

numpy = ops.convert_to_numpy


def test_the_log_density_is_scipys():
    z = np.random.default_rng(0).normal(0, 2, (4, 5, 3))
    result = StandardNormal(3).log_prob(z)
    assert result.shape == (4, 5)
    np.testing.assert_allclose(result, stats.norm.logpdf(z).sum(axis=-1), rtol=1e-5)


def test_samples_are_standard_normal_and_fresh():
    prior, n = StandardNormal(2, seed=0), 20_000
    z = numpy(prior.sample(num=n))
    assert z.shape == (n, 2)
    assert np.all(np.abs(z.mean(axis=0)) < 4 / np.sqrt(n))
    assert np.all(np.abs(np.cov(z.T) - np.eye(2)) < 4 * np.sqrt(2 / n))
    assert not np.array_equal(z, prior.sample(num=n))


@pytest.mark.parametrize("mu, log_var", [(0.0, 0.0), (1.5, -1.0), (-0.7, 1.2), (2.0, -4.0)])
def test_the_closed_form_is_the_integral(mu, log_var):
    sigma = np.exp(log_var / 2)

    def integrand(z):
        log_q = stats.norm.logpdf(z, mu, sigma)
        return np.exp(log_q) * (log_q - stats.norm.logpdf(z))

    expected = integrate.quad(integrand, mu - 12 * sigma, mu + 12 * sigma, epsabs=1e-10)[0]
    kl = kl_divergence(DiagonalNormal(1), [[mu, log_var]], StandardNormal(1))
    np.testing.assert_allclose(kl, [expected], rtol=1e-5, atol=1e-6)


def test_the_closed_form_sums_over_dimensions_and_is_one_value_per_example():
    params = np.random.default_rng(0).normal(size=(5, 6))
    kl = numpy(kl_divergence(DiagonalNormal(3), params, StandardNormal(3)))
    each = [numpy(kl_divergence(DiagonalNormal(1), params[:, [j, j + 3]], StandardNormal(1))) for j in range(3)]
    np.testing.assert_allclose(kl, np.sum(each, axis=0), rtol=1e-5)
    assert kl.shape == (5,)


@pytest.mark.parametrize("mu, log_var", [([0.3, -1.0], [0.5, -0.7]), ([0.0, 2.0], [-2.0, 0.0])])
def test_the_closed_form_of_two_diagonal_normals_is_that_of_each_dimension(mu, log_var):
    """Against the textbook formula, and zero for a distribution and itself."""
    other_mu, other_log_var = np.array([1.0, 0.5]), np.array([-0.5, 1.0])
    q, p = DiagonalNormal(2), DiagonalNormal(2)
    params, other = np.array([[*mu, *log_var]]), np.array([[*other_mu, *other_log_var]])
    ratio = np.exp(np.array(log_var) - other_log_var)
    expected = 0.5 * np.sum(ratio - 1 - np.log(ratio) + (np.array(mu) - other_mu) ** 2 / np.exp(other_log_var))
    np.testing.assert_allclose(kl_divergence(q, params, p, other), [expected], rtol=1e-5)
    np.testing.assert_allclose(kl_divergence(q, params, p, params), [0.0], atol=1e-6)


# Which pairs have a closed form --------------------------------------------------------------------------------------


class Shifted(DiagonalNormal):
    """A normal whose mean lies two above mu: its own way to sample and its own density."""

    def sample(self, params=None, noise=None, num=()):
        return super().sample(params, noise, num) + 2.0

    def log_prob(self, value, params=None):
        return super().log_prob(value - 2.0, params)


def test_a_subclass_with_a_density_of_its_own_does_not_get_the_closed_form_of_its_parent():
    q, prior, params = Shifted(2), StandardNormal(2), np.array([[0.5, -1.0, -0.5, 0.3]], "float32")
    mu, log_var = params[0, :2] + 2.0, params[0, 2:]
    truth = 0.5 * np.sum(mu**2 + np.exp(log_var) - 1 - log_var)
    estimates = numpy(kl_divergence(q, params, prior, z=q.sample(params, num=20_000)))
    assert abs(estimates.mean() - truth) < 5 * estimates.std() / np.sqrt(20_000) < 0.2
    # Nor in the loss of a model: its KL is the log ratio at the sample.
    assert closed_form_kl(q, prior) is None and closed_form_kl(DiagonalNormal(2), prior) is kl_diagonal_standard


def test_a_closed_form_belongs_to_two_exact_classes():
    class Mine(DiagonalNormal):
        pass

    class Yours(StandardNormal):
        pass

    q, p, params = Mine(2), StandardNormal(2), np.zeros((3, 4), "float32")
    assert closed_form_kl(q, p) is None
    register_kl(Mine, StandardNormal)(lambda q, q_params, p, p_params=None: 7.0 + 0.0 * q_params[:, 0])
    np.testing.assert_array_equal(kl_divergence(q, ops.convert_to_tensor(params), p), [7.0, 7.0, 7.0])
    assert closed_form_kl(q, Yours(2)) is None and closed_form_kl(DiagonalNormal(2), Yours(2)) is None


class Uniform(Distribution):
    """A posterior of another family: uniform on a square of the given side."""

    params_size = 1

    def log_prob(self, value, params=None):
        return -2 * ops.log(params[..., 0]) + 0 * value[..., 0]


def test_a_posterior_of_another_family_takes_the_monte_carlo_estimate():
    z = np.array([[0.5, 1.0], [2.0, 0.0]], "float32")
    kl = kl_divergence(Uniform(2), ops.convert_to_tensor([[4.0], [5.0]]), StandardNormal(2), z=z)
    np.testing.assert_allclose(kl, -2 * np.log([4, 5]) - stats.norm.logpdf(z).sum(axis=1), rtol=1e-5)


def test_bad_sizes_are_refused_by_name():
    with pytest.raises(ValueError, match="event_shape must be a whole number of at least 1; received 0"):
        StandardNormal(0)
    with pytest.raises(ValueError, match=r"z must have shape \(..., 2\).* received \(4, 3\)"):
        StandardNormal(2).log_prob(np.zeros((4, 3)))


def test_its_configuration_makes_it_again():
    prior = StandardNormal(3, seed=2)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(prior))
    assert type(copy) is StandardNormal and copy.get_config() == prior.get_config() and copy.seed == 2


# The closed form for a full covariance ----------------------------------------------------------------------------


def test_the_closed_form_for_a_full_covariance_is_that_of_two_normals():
    """Against the textbook formula with matrices, and against a Monte Carlo estimate with scipy's densities."""
    row = np.array([0.5, -1.0, 0.7, -0.3, 1.1])
    factor = np.array([[np.exp(0.35), 0], [1.1, np.exp(-0.15)]])
    covariance = factor @ factor.T
    kl = numpy(kl_divergence(FullNormal(2), row[None], StandardNormal(2)))
    textbook = 0.5 * (np.trace(covariance) + row[:2] @ row[:2] - 2 - np.linalg.slogdet(covariance)[1])
    np.testing.assert_allclose(kl, [textbook], rtol=1e-6)
    q, n = stats.multivariate_normal(row[:2], covariance), 100_000
    z = q.rvs(n, random_state=np.random.default_rng(0))
    estimates = q.logpdf(z) - stats.norm.logpdf(z).sum(axis=1)
    assert abs(estimates.mean() - kl[0]) < 4 * estimates.std() / np.sqrt(n)


# MixturePrior -------------------------------------------------------------------------------------------------------


@pytest.fixture
def mixture():
    prior, rng = MixturePrior(2, 3, seed=0), np.random.default_rng(5)
    prior.set_weights([rng.normal(size=w.shape) for w in prior.get_weights()])
    return prior


def mixture_of(prior):
    """Return the shares, the means and the standard deviations of a mixture, in float64."""
    logits, means, log_vars = (numpy(v.value).astype(float) for v in (prior.logits, prior.means, prior.log_vars))
    return np.exp(logits) / np.exp(logits).sum(), means, np.exp(log_vars / 2)


def test_the_mixtures_density_is_the_weighted_sum_of_scipys(mixture):
    z = np.random.default_rng(0).normal(0, 2, (4, 5, 2))
    expected = sum(
        share * stats.norm.pdf(z, mean, std).prod(axis=-1)
        for share, mean, std in zip(*mixture_of(mixture), strict=True)
    )
    result = mixture.log_prob(z)
    assert result.shape == (4, 5)
    np.testing.assert_allclose(result, np.log(expected), rtol=1e-5)
    # Far out every component's density rounds to zero; the logarithm of their sum does not.
    assert -2e5 < float(mixture.log_prob([[300.0, 300.0]])[0]) < -1e3


def test_samples_of_the_mixture_have_its_mean_and_covariance(mixture):
    n = 40_000
    z = numpy(mixture.sample(num=n))
    shares, means, stds = mixture_of(mixture)
    mean = shares @ means
    centred = means - mean
    covariance = np.diag(shares @ stds**2) + (centred * shares[:, None]).T @ centred
    assert z.shape == (n, 2) and not np.array_equal(z, mixture.sample(num=n))
    assert np.all(np.abs(z.mean(axis=0) - mean) < 4 * np.sqrt(np.diag(covariance) / n))
    products = (z - mean)[:, :, None] * (z - mean)[:, None, :]
    assert np.all(np.abs(products.mean(axis=0) - covariance) < 4 * products.std(axis=0) / np.sqrt(n))


def test_the_mixture_starts_with_equal_shares_and_different_means():
    a, b, c = (MixturePrior(2, 4, seed=seed) for seed in (1, 1, 2))
    shares, means, stds = mixture_of(a)
    assert np.all(shares == 0.25) and np.all(stds == 1) and len(np.unique(means)) == 8
    np.testing.assert_array_equal(a.means, b.means)
    assert not np.array_equal(a.means, c.means)


def test_the_kl_to_a_mixture_is_estimated(mixture):
    q, z, params = DiagonalNormal(2), np.zeros((1, 2)), np.zeros((1, 4))
    expected = numpy(q.log_prob(z, params)) - numpy(mixture.log_prob(z))
    np.testing.assert_allclose(kl_divergence(q, params, mixture, z=z), expected, rtol=1e-6)


# VampPrior ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def vamp():
    """A VampPrior, and the parameters of its three components by hand: the encoder is one matrix."""
    rng = np.random.default_rng(3)
    matrix, pseudo_inputs = rng.normal(size=(6, 5)).astype("float32"), rng.uniform(size=(3, 2, 3)).astype("float32")
    encoder = dense_encoder((2, 3), 5, ())
    encoder.set_weights([matrix, np.zeros(5, "float32")])
    prior = VampPrior(2, 3, initial=pseudo_inputs, seed=0)
    prior.connect(encoder, FullNormal(2))
    components = []
    for mean_0, mean_1, log_0, log_1, below in pseudo_inputs.reshape(3, 6).astype(float) @ matrix:
        factor = np.array([[np.exp(log_0 / 2), 0], [below, np.exp(log_1 / 2)]])
        components.append(stats.multivariate_normal([mean_0, mean_1], factor @ factor.T))
    return prior, components


def test_the_vamp_priors_density_is_the_mean_of_the_posteriors(vamp):
    prior, components = vamp
    z = np.random.default_rng(0).normal(0, 2, (4, 5, 2))
    result = prior.log_prob(z)
    assert result.shape == (4, 5)
    np.testing.assert_allclose(result, np.log(np.mean([c.pdf(z) for c in components], axis=0)), rtol=1e-4)


def test_samples_of_the_vamp_prior_have_its_mean_and_covariance(vamp):
    prior, components = vamp
    n, mean = 40_000, np.mean([c.mean for c in components], axis=0)
    z = numpy(prior.sample(num=n))
    covariance = np.mean([c.cov + np.outer(c.mean - mean, c.mean - mean) for c in components], axis=0)
    assert z.shape == (n, 2) and not np.array_equal(z, prior.sample(num=n))
    assert np.all(np.abs(z.mean(axis=0) - mean) < 4 * np.sqrt(np.diag(covariance) / n))
    products = (z - mean)[:, :, None] * (z - mean)[:, None, :]
    assert np.all(np.abs(products.mean(axis=0) - covariance) < 4 * products.std(axis=0) / np.sqrt(n))


class FromTheRight(DiagonalNormal):
    """A posterior whose noise is uniform on [0, 1]: z lies between mu and mu + sigma."""

    def noise(self, num=()):
        return keras.random.uniform((num, *self.event_shape) if isinstance(num, int) else (*num, *self.event_shape))


def test_samples_of_the_vamp_prior_have_the_noise_of_its_posterior():
    encoder = dense_encoder((3,), 2, ())
    encoder.set_weights([np.zeros((3, 2)), np.array([5.0, 0.0])])
    prior = VampPrior(1, 4, seed=0)
    prior.connect(encoder, FromTheRight(1))
    z = numpy(prior.sample(num=500))
    assert z.shape == (500, 1) and 5 <= z.min() < 5.05 and 5.95 < z.max() <= 6
    # And of a posterior whose noise has another size than a code.
    prior, posterior = VampPrior(2, 4, seed=0), implicit((2,))
    prior.connect(dense_encoder((3,), posterior.params_size, ()), posterior)
    assert posterior.noise(7).shape == (7, 3) and prior.sample(num=7).shape == (7, 2)


def test_pseudo_inputs_start_as_noise_in_the_range_of_the_data():
    prior = VampPrior(2, 200, value_range=(-1, 3), seed=1)
    prior.connect(dense_encoder((2, 3), 4, ()), DiagonalNormal(2))
    start = numpy(prior.pseudo_inputs.value)
    assert start.shape == (200, 2, 3) and stats.kstest(start.ravel(), stats.uniform(-1, 4).cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_components": 0}, "num_components must be a whole number of at least 1; received 0"),
        ({"value_range": (1, 0)}, r"value_range must be two finite, increasing numbers; received \(1, 0\)"),
        (
            {"num_components": 4, "initial": np.zeros((3, 2))},
            "num_components = 4 .* received 3 with values from 0 to 0",
        ),
        ({"num_components": 3, "initial": np.full((3, 2), 255)}, r"value_range = \[0, 1\]; received 3 .* 255 to 255"),
    ],
)
def test_a_vamp_prior_refuses_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        VampPrior(2, **options)


def test_a_vamp_prior_without_a_vae_says_so():
    for use in (lambda p: p.sample(num=3), lambda p: p.log_prob(np.zeros((1, 2)))):
        with pytest.raises(ValueError, match=r"has no encoder yet: give it to a VAE, or call connect"):
            use(VampPrior(2, 3))


def test_a_vamp_prior_needs_an_encoder_of_one_input():
    with pytest.raises(ValueError, match="needs an encoder of one input; received one of 2"):
        VampPrior(2, 3).connect(implicit((2,)).network, DiagonalNormal(1))


@pytest.mark.parametrize("prior", [MixturePrior(3, 4, seed=2), VampPrior(3, 4, value_range=(-1.0, 1.0), seed=2)])
def test_the_configurations_of_the_mixtures_make_them_again(prior):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(prior))
    assert type(copy) is type(prior) and copy.get_config() == prior.get_config() and copy.num_components == 4
