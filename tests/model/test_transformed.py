"""Distributions pushed through flows: densities that add up, as posterior and as prior."""

import keras
import numpy as np
import pytest
from gradients import assert_gradients_are_differences
from keras import ops
from scipy import stats

from vaelib.model.flows import CouplingFlow, InverseAutoregressiveFlow, PlanarFlow
from vaelib.model.likelihoods import Bernoulli
from vaelib.model.posteriors import DiagonalNormal, ImplicitPosterior
from vaelib.model.priors import StandardNormal
from vaelib.model.transformed import Transformed

numpy = ops.convert_to_numpy


def chain(base, length=2, **options):
    return Transformed(base, [PlanarFlow() for _ in range(length)], **options)


@pytest.mark.parametrize("params", [[2.0, 3.0, 0.5], [-3.0, 1.0, 0.0], [-0.4, 8.0, 4.0]], ids=str)
def test_a_density_on_the_line_integrates_to_one(doubles, params):
    prior = chain(StandardNormal(1))
    prior.flow_params.assign([*params, 0.5, -1.0, 0.2])
    z = np.linspace(-16, 16, 100_001)
    density = np.exp(numpy(prior.log_prob(z[:, None])))
    assert np.trapezoid(density, z) == pytest.approx(1, abs=1e-6)
    assert np.abs(density - stats.norm.pdf(z)).max() > 0.1


def test_without_the_constraint_the_kl_of_a_fold_would_be_negative():
    """Three points meet in one where a map folds; each counted alone, log q is too small, and so is its mean."""
    eps, n = np.random.default_rng(0).normal(size=20_000), 20_000
    u, w = -1.0, 5.0
    z, slope = eps + u * np.tanh(w * eps), 1 + u * w / np.cosh(w * eps) ** 2
    folded = stats.norm.logpdf(eps) - np.log(np.abs(slope)) - stats.norm.logpdf(z)
    assert folded.mean() + 5 * folded.std() / np.sqrt(n) < -0.2
    # The same u and w, as the flow takes them.
    q, prior = chain(StandardNormal(1), 1), StandardNormal(1)
    q.flow_params.assign([u, w, 0.0])
    z, log_q = q.sample_and_log_prob(noise=eps[:, None])
    kl = numpy(log_q - prior.log_prob(z))
    assert kl.mean() - 5 * kl.std() / np.sqrt(n) > 0


def test_a_samples_log_density_is_that_of_its_value_and_so_are_the_gradients(doubles):
    """One way pushes forward, the other pulls back."""
    rng = np.random.default_rng(3)
    q, eps = chain(DiagonalNormal(2), 3), rng.normal(size=(4, 2))
    params = rng.normal(size=(4, q.params_size))
    z, log_q = q.sample_and_log_prob(params, eps)
    np.testing.assert_allclose(numpy(q.log_prob(z, params)), numpy(log_q), atol=1e-6)
    assert_gradients_are_differences(lambda params: q.sample_and_log_prob(params, eps)[1], params)
    assert_gradients_are_differences(q.log_prob, numpy(z), params)


def test_an_encoder_gives_each_example_a_map_of_its_own():
    q = chain(DiagonalNormal(2))
    assert q.params_size == 4 + 2 * 5 and not q.trainable_variables and q.reparameterized
    params = np.random.default_rng(4).normal(size=(3, 14)).astype("float32")
    z = numpy(q.sample(params, np.zeros((3, 2), "float32")))
    for row, code in zip(params, z, strict=True):
        first, _ = PlanarFlow().forward(ops.convert_to_tensor(row[:2]), row[4:9])
        second, _ = PlanarFlow().forward(first, row[9:])
        np.testing.assert_allclose(code, numpy(second), rtol=1e-4, atol=1e-5)


def test_over_a_prior_the_maps_are_weights():
    one, same = chain(StandardNormal(3), seed=1), chain(StandardNormal(3), seed=1)
    assert one.params_size == 0 and [tuple(v.shape) for v in one.trainable_variables] == [(14,)]
    np.testing.assert_array_equal(numpy(one.flow_params.value), numpy(same.flow_params.value))
    assert np.all(
        numpy(one.flow_params.value) != 0
    )  # at zero every gradient is zero, and the maps would stay the identity


def test_the_mean_is_that_of_samples_and_the_same_at_each_call():
    q = chain(DiagonalNormal(2), num_mean_draws=2_000)
    params = np.random.default_rng(5).normal(size=(3, 14)).astype("float32")
    mean, samples = numpy(q.mean(params)), numpy(q.sample(params, num=2_000))
    np.testing.assert_array_equal(mean, numpy(q.mean(params)))
    assert np.all(np.abs(mean - samples.mean(axis=0)) < 5 * samples.std(axis=0) * np.sqrt(2 / 2_000))


def test_a_posterior_and_a_prior_with_flows_train_together(make_vae, images, without_xla):
    vae = make_vae(posterior=lambda n: chain(DiagonalNormal(n)), prior=lambda n: chain(StandardNormal(n), seed=0))
    eps = np.random.default_rng(0).normal(size=(60, 2)).astype("float32")
    before, loss = [numpy(v.value) for v in vae.trainable_variables], float(vae.compute_loss(x=images, noise=eps))
    vae.compile(keras.optimizers.Adam(0.01))
    vae.fit(images, epochs=3, batch_size=10, verbose=0)
    after = [numpy(v.value) for v in vae.trainable_variables]
    assert all(np.any(old != new) for old, new in zip(before, after, strict=True))
    columns = np.any(before[2] != after[2], axis=0)  # of the encoder, those that make the flows' numbers too
    assert columns.shape == (14,) and columns.all()
    assert float(vae.compute_loss(x=images, noise=eps)) < loss
    # Neither has a closed form: both bounds come from log q of the sample, and keep their order.
    assert vae.elbo(images[:20], 50).mean() < vae.log_evidence(images[:20], 50).mean()


def test_a_linear_autoregressive_flow_over_a_diagonal_normal_is_a_full_normal(doubles):
    """Each value plus a linear function of those before it: z = L eps, as FullNormal has it (Kingma et al., A.1)."""
    n, rng = 3, np.random.default_rng(6)
    q = Transformed(DiagonalNormal(n), [InverseAutoregressiveFlow(())])
    kernel, bias = q.trainable_variables
    shear = np.triu(rng.normal(size=(n, n)), 1)
    kernel.assign(np.concatenate([np.zeros((n, n)), shear], axis=1))
    mu, log_var, z = rng.normal(size=n), rng.normal(size=n), rng.normal(size=(5, n))
    mean = mu + mu @ shear
    lower = (np.eye(n) + shear.T) * np.exp(log_var / 2)
    expected = stats.multivariate_normal.logpdf(z, mean, lower @ lower.T)
    np.testing.assert_allclose(numpy(q.log_prob(z, np.concatenate([mu, log_var]))), expected, atol=1e-10)


def test_a_chain_that_takes_turns_moves_every_value():
    prior = Transformed(StandardNormal(3), [CouplingFlow((4,), seed=0), CouplingFlow((4,), reverse=True, seed=1)])
    assert prior.params_size == 0 and not hasattr(prior, "flow_params")
    rng = np.random.default_rng(7)
    for variable in prior.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    eps = rng.normal(size=(50, 3)).astype("float32")
    assert np.all(np.abs(numpy(prior.sample(noise=eps)) - eps).mean(axis=0) > 0.1)


# What is refused ----------------------------------------------------------------------------------------------------


def implicit():
    params, noise = keras.Input((2,)), keras.Input((3,))
    joined = keras.layers.Concatenate()([params, noise])
    return ImplicitPosterior(keras.Model([params, noise], keras.layers.Dense(2)(joined)))


def for_three():
    flow = CouplingFlow((4,))
    flow.build((None, 3))
    return flow


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: Transformed(StandardNormal(2), [for_three()]),
            "as many values as the base, 2; CouplingFlow was built for 3. Make a new one",
        ),
        (lambda: Transformed(StandardNormal(2), []), r"flows must hold at least one flow, for example \[PlanarFlow"),
        (
            lambda: Transformed(StandardNormal(2), [PlanarFlow(), keras.layers.Dense(2)]),
            r"flows must hold flows alone, for example \[PlanarFlow\(\)\]; received Dense",
        ),
        (lambda: chain(implicit()), "base must have a density over real numbers; ImplicitPosterior has none"),
        (lambda: chain(Bernoulli(2)), "base must have a density over real numbers; Bernoulli has none"),
        (lambda: chain(StandardNormal(2), num_mean_draws=0), "num_mean_draws must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_a_chain_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
