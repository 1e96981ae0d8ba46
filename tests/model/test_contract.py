"""What every distribution promises: shapes, noise, configuration, and samples that follow the density."""

import itertools

import keras
import numpy as np
import pytest
from gradients import assert_gradients_are_differences, in_variables
from keras import ops
from parts import DENSITIES, DISTRIBUTIONS, LIKELIHOODS, POSTERIORS, PRIORS, one_like
from scipy import stats

from vaelib.model.distributions import Distribution, closed_form_kl, kl_divergence
from vaelib.model.networks import dense_encoder
from vaelib.model.posteriors import DiagonalNormal

pytestmark = pytest.mark.usefixtures("seeded")

numpy = ops.convert_to_numpy
NUM_ERRORS = 5  # standard errors: one comparison in two million is off by more


def made(name, event_shape=(2,), scale=0.5):
    """Make a distribution; weights of its own get random values, and a prior that shares an encoder gets one."""
    d = DISTRIBUTIONS[name](event_shape)
    posterior = DiagonalNormal(event_shape)
    d.connect(dense_encoder((3,), posterior.params_size, (4,)), posterior)
    rng = np.random.default_rng(0)
    for variable in d.trainable_variables:
        variable.assign(numpy(variable.value) + scale * rng.normal(size=variable.shape))
    return d


def parameters(d, batch, scale=0.5, seed=0):
    """Random parameters of the shape (*batch, params_size), or nothing for a distribution that takes none."""
    if d.params_size == 0:
        return None
    return scale * np.random.default_rng(seed).normal(size=(*batch, d.params_size)).astype(keras.config.floatx())


def test_every_kind_of_part_is_found():
    assert {"DiagonalNormal", "FullNormal", "Transformed(DiagonalNormal)", "ImplicitPosterior"} <= set(POSTERIORS)
    assert {"TopDown", "Bernoulli", "Categorical"} <= set(POSTERIORS)
    assert {"Bernoulli", "ContinuousBernoulli", "Normal", "IsotropicNormal", "Poisson"} <= set(LIKELIHOODS)
    assert {"NegativeBinomial", "NegativeBinomial of the network"} <= set(LIKELIHOODS)
    real = {"StandardNormal", "MixturePrior", "VampPrior", "Transformed(StandardNormal)", "coupling prior", "Chain"}
    assert real | {"BernoulliPrior", "CategoricalPrior"} == set(PRIORS)
    assert set(DISTRIBUTIONS) - set(DENSITIES) == {"ImplicitPosterior"}


# Shapes and noise ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("event_shape", [(2,), (3, 2)], ids=str)
def test_shapes(name, event_shape):
    d = made(name, event_shape)
    for num, batch in [((), ()), ((), (4,)), (3, (4,)), ((3, 2), (4,)), (3, (2, 4))]:
        batch = () if d.params_size == 0 else batch
        params, lead = parameters(d, batch), (*np.atleast_1d(num).astype(int), *batch)
        value = d.sample(params, num=num)
        assert value.shape == (*lead, *d.event_shape)
        assert d.mean(params).shape == (*batch, *d.event_shape)
        if d.has_density:
            assert d.log_prob(value, params).shape == lead
            assert [part.shape for part in d.sample_and_log_prob(params, num=num)] == [value.shape, lead]
    assert d.num_values == np.prod(d.event_shape)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_given_noise_makes_a_sample_a_function_and_drawn_noise_is_fresh(name):
    d = made(name, (4, 8))  # so many classes that no two draws are alike
    params, batch = parameters(d, (4,)), () if made(name).params_size == 0 else (4,)
    noise = d.noise((3, *batch))
    for leaf in keras.tree.flatten(noise):
        assert tuple(leaf.shape[: 1 + len(batch)]) == (3, *batch)
    np.testing.assert_array_equal(numpy(d.sample(params, noise)), numpy(d.sample(params, noise)))
    first, second = numpy(d.sample(params, num=2)), numpy(d.sample(params, num=2))
    assert not np.array_equal(first, second) and not np.array_equal(first[0], first[1])
    if batch:
        same = np.broadcast_to(params[:1], params.shape)
        each = numpy(d.sample(same))
        assert not np.array_equal(each[0], each[1])  # each example has noise of its own


def test_a_distribution_that_cannot_be_sampled_says_so():
    class Nothing(Distribution):
        params_size = 0

    with pytest.raises(NotImplementedError, match="Nothing must give sample or sample_and_log_prob"):
        Nothing(2).sample()


@pytest.mark.parametrize("name", DENSITIES)
def test_a_sample_and_its_log_density_come_together(name):
    d = made(name, (3, 2))
    params = parameters(d, (4,))
    noise = d.noise((5,) if params is None else (5, 4))
    value, log_prob = d.sample_and_log_prob(params, noise)
    np.testing.assert_allclose(numpy(value), numpy(d.sample(params, noise)), rtol=1e-6)
    np.testing.assert_allclose(numpy(log_prob), numpy(d.log_prob(value, params)), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_wrong_shapes_are_named(name):
    d = made(name)
    params = parameters(d, (4,))
    if params is not None:
        for use in (d.sample, d.mean, lambda params: d.log_prob(np.full((4, 2), 0.5), params)):
            if use in (d.sample, d.mean) or d.has_density:
                with pytest.raises(ValueError, match=rf"params must have {d.params_size} numbers .*received shape"):
                    use(np.zeros((4, d.params_size + 1), "float32"))
        with pytest.raises(ValueError, match=rf"needs params of shape \(..., {d.params_size}\); received None"):
            d.sample()
    if d.has_density:
        # One number would broadcast against the two of an event, and give a wrong density without a word.
        with pytest.raises(ValueError, match=r"must have shape \(..., 2\), event_shape of .*received \(4, 1\)"):
            d.log_prob(np.full((4, 1), 0.5, "float32"), params)


@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if name not in DENSITIES])
def test_what_has_no_density_says_so(name):
    d = made(name)
    with pytest.raises(ValueError, match=f"{type(d).__name__} has no density: it can be sampled and nothing else"):
        d.log_prob(np.zeros((1, 2)), parameters(d, (1,)))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_its_configuration_makes_it_again(name):
    d = DISTRIBUTIONS[name]((2,))
    config = keras.saving.serialize_keras_object(d)
    for _ in range(2):  # the first must leave the configuration whole
        copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(d) and copy.get_config() == d.get_config()
    assert (copy.event_shape, copy.params_size, copy.seed) == (d.event_shape, d.params_size, d.seed)
    assert [v.shape for v in copy.trainable_variables] == [v.shape for v in d.trainable_variables]


# Samples and densities -----------------------------------------------------------------------------------------------


def quadrature(d, samples):
    """Return points of two numbers and weights: a sum over them stands for a sum or an integral over all values."""
    if d.support == "one-hot":
        return np.eye(2, dtype="float32"), np.ones(2)
    if d.support == "binary":
        axes = [(np.array([0.0, 1.0]), np.ones(2))] * 2
    elif d.support == "count":
        axes = [(np.arange(most + 60.0), np.ones(int(most) + 60)) for most in samples.max(axis=0)]
    elif d.support == "unit":
        nodes, weights = np.polynomial.legendre.leggauss(30)
        axes = [((nodes + 1) / 2, weights / 2)] * 2
    else:
        ends = zip(samples.min(axis=0) - samples.std(axis=0), samples.max(axis=0) + samples.std(axis=0), strict=True)
        axes = [(np.linspace(low, high, 161), np.full(161, (high - low) / 160)) for low, high in ends]
    points = np.stack(np.meshgrid(axes[0][0], axes[1][0], indexing="ij"), axis=-1).reshape(-1, 2)
    return points.astype("float32"), np.outer(axes[0][1], axes[1][1]).ravel()


def features(z):
    """The numbers themselves, their product, and waves: enough to tell one distribution from another."""
    waves = [np.cos(z @ k) for k in np.array([[1.0, 0.3], [0.4, -1.2], [2.0, 1.0]])]
    return np.stack([z[:, 0], z[:, 1], z[:, 0] * z[:, 1], *waves], axis=1)


def drawn(d, params, n):
    return numpy(d.sample(params, num=n)).astype(float).reshape(n, *d.event_shape)


@pytest.mark.parametrize("name", DENSITIES)
def test_samples_follow_the_density_which_adds_up_to_one(name):
    d, n = made(name), 20_000
    params = parameters(d, (1,))
    samples = drawn(d, params, n)
    points, weights = quadrature(d, samples)
    shares = weights * np.exp(numpy(d.log_prob(points, params)).astype(float))
    assert shares.sum() == pytest.approx(1, abs=1e-4)
    seen, expected = features(samples), shares @ features(points)
    error = seen.std(axis=0) / np.sqrt(n) + 1e-7  # of two classes never both: no error but that of rounding
    assert np.all(np.abs(seen.mean(axis=0) - expected) < NUM_ERRORS * error)
    mean = numpy(d.mean(params)).ravel()
    own_error = seen[:, :2].std(axis=0) / np.sqrt(getattr(d, "num_mean_draws", np.inf))
    assert np.all(np.abs(mean - expected[:2]) < NUM_ERRORS * own_error + 1e-4)


@pytest.mark.parametrize("name", DENSITIES)
def test_densities_over_many_numbers_have_their_normaliser(name):
    """For any density n of the same values, narrower than q, the mean of n(z) / q(z) over samples of q is one."""
    d, n = made(name, (2, 3), scale=0.3), 20_000
    params = parameters(d, (1,), scale=0.3)
    first, samples = (drawn(d, params, n).reshape(n, 6) for _ in range(2))
    reference = {
        "binary": lambda: np.full(n, -6 * np.log(2)),
        "one-hot": lambda: np.full(n, -2 * np.log(3)),
        "unit": lambda: np.zeros(n),
        "count": lambda: stats.poisson.logpmf(samples, 0.6 * first.mean(axis=0)).sum(axis=1),
        "real": lambda: stats.norm.logpdf(samples, first.mean(axis=0), 0.6 * first.std(axis=0)).sum(axis=1),
    }[d.support]()
    values = samples.reshape(n, 1, *d.event_shape).astype("float32")
    log_prob = numpy(d.log_prob(values, params)).astype(float).ravel()
    ratio = np.exp(reference - log_prob)
    assert abs(ratio.mean() - 1) < NUM_ERRORS * ratio.std() / np.sqrt(n) < 0.2


@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if name not in DENSITIES])
def test_the_mean_of_what_has_no_density_is_that_of_its_samples(name):
    d, n = made(name), 20_000
    params = parameters(d, (1,))
    samples, mean = drawn(d, params, n), numpy(d.mean(params))[0]
    np.testing.assert_array_equal(mean, numpy(d.mean(params))[0])  # from fixed draws
    assert np.all(np.abs(mean - samples.mean(axis=0)) < NUM_ERRORS * samples.std(axis=0) / np.sqrt(d.num_mean_draws))


# Gradients -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DENSITIES)
def test_the_gradient_of_the_log_density_is_that_of_differences(name, doubles):
    d = made(name)
    params, variables = parameters(d, (4,)), d.trainable_variables
    value = numpy(d.sample(params, num=() if d.params_size else 4)).astype("float64")
    if d.support != "real":
        value = 0.2 + 0.6 * value  # a step must not leave [0, 1]
    inputs = [value] if params is None else [value, params]

    def log_prob(*tensors):
        ours, own = tensors[: len(inputs)], tensors[len(inputs) :]
        return in_variables(lambda: d.log_prob(*ours), variables)(*own)

    assert_gradients_are_differences(log_prob, *inputs, *[numpy(v.value) for v in variables])


@pytest.mark.parametrize("name", [name for name in DISTRIBUTIONS if one_like(name).reparameterized])
def test_the_gradient_of_a_sample_is_that_of_differences(name, doubles):
    d = made(name)
    params, variables, rng = parameters(d, (4,)), d.trainable_variables, np.random.default_rng(1)
    noise = d.noise((4,))
    inputs, weights = [] if params is None else [params], rng.normal(size=(4, *d.event_shape))
    if not (inputs or variables):
        return  # its samples are its noise

    def weighted(*tensors):
        ours, own = tensors[: len(inputs)], tensors[len(inputs) :]
        return in_variables(lambda: ops.sum(weights * d.sample(*(ours or [None]), noise)), variables)(*own)

    assert_gradients_are_differences(weighted, *inputs, *[numpy(v.value) for v in variables])


# KL divergences ------------------------------------------------------------------------------------------------------

CLOSED_FORMS = [(q, p) for q, p in itertools.product(DENSITIES, DENSITIES) if closed_form_kl(one_like(q), one_like(p))]
NO_CLOSED_FORM = [
    (q, p)
    for q, p in itertools.product(POSTERIORS, PRIORS)
    if one_like(q).support == one_like(p).support and not closed_form_kl(one_like(q), one_like(p))
]


def test_the_known_closed_forms_are_registered():
    known = [
        ("DiagonalNormal", "StandardNormal"),
        ("FullNormal", "StandardNormal"),
        ("DiagonalNormal", "DiagonalNormal"),
        ("Categorical", "CategoricalPrior"),
        ("Bernoulli", "BernoulliPrior"),
    ]
    assert set(known) <= set(CLOSED_FORMS)


@pytest.mark.parametrize("names", CLOSED_FORMS, ids="-".join)
def test_a_closed_form_is_the_integral_and_the_mean_over_samples(names):
    (q, p), n = map(made, names), 20_000
    q_params, p_params = parameters(q, (3,), seed=2), parameters(p, (3,), seed=1)
    kl = numpy(kl_divergence(q, q_params, p, p_params))
    assert kl.shape == (3,) and np.all(kl > 0)
    log_ratios = []
    for i in range(3):
        one_q, one_p = q_params[i : i + 1], None if p_params is None else p_params[i : i + 1]
        samples = drawn(q, one_q, n)
        points, weights = quadrature(q, samples)
        log_q, log_p = (numpy(part).astype(float) for part in (q.log_prob(points, one_q), p.log_prob(points, one_p)))
        np.testing.assert_allclose(kl[i], np.sum(weights * np.exp(log_q) * (log_q - log_p)), rtol=1e-3)
        log_ratios.append(numpy(q.log_prob(samples, one_q) - p.log_prob(samples, one_p)))
    log_ratios = np.array(log_ratios)
    error = log_ratios.std(axis=1) / np.sqrt(n)
    assert np.all(np.abs(log_ratios.mean(axis=1) - kl) < NUM_ERRORS * error)


@pytest.mark.parametrize("names", NO_CLOSED_FORM, ids="-".join)
def test_without_a_closed_form_the_kl_is_the_log_ratio_at_the_sample(names):
    q, p = map(made, names)
    params = parameters(q, (3,))
    if not q.has_density:
        with pytest.raises(ValueError, match=f"{type(q).__name__} has no density"):
            kl_divergence(q, params, p)
        return
    z, log_q = q.sample_and_log_prob(params, num=5)
    estimate = numpy(kl_divergence(q, params, p, z=z))
    assert estimate.shape == (5, 3) and kl_divergence(q, params, p).shape == (3,)
    np.testing.assert_allclose(estimate, numpy(log_q) - numpy(p.log_prob(z)), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(numpy(kl_divergence(q, params, p, z=z, log_q=log_q)), estimate, rtol=1e-3, atol=1e-3)
