"""Planar flows: invertible whatever the parameters, with the change of volume that their Jacobian has."""

import keras
import numpy as np
import pytest
from gradients import assert_gradients_are_differences, double_precision
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy import stats

from vaelib.model.flows import PlanarFlow, Transformed
from vaelib.model.likelihoods import Bernoulli
from vaelib.model.posteriors import DiagonalNormal, ImplicitPosterior
from vaelib.model.priors import StandardNormal

numpy = ops.convert_to_numpy


def moved(direction, points, params):
    """Return what a planar flow makes of points, and its log-determinants, in NumPy."""
    points, params = ops.convert_to_tensor(points), ops.convert_to_tensor(params)
    return tuple(numpy(part) for part in getattr(PlanarFlow(), direction)(points, params))


def rows_of_numbers(seed, columns, size):
    """Two hundred rows, most of their numbers small and a few up to size, a few exactly zero."""
    rng = np.random.default_rng(seed)
    return size * rng.uniform(-1, 1, (200, columns)) ** 3 * rng.choice([0, 1], (200, columns), p=[0.1, 0.9])


def steepness(params):
    """How many times larger than a rounding of w . z the rounding of f(z) can be, shape (rows,)."""
    n = (params.shape[-1] - 1) // 2
    u, w = (np.linalg.norm(part, axis=1) for part in (params[:, :n], params[:, n : 2 * n]))
    return (1 + u) * (1 + w)


# One map ------------------------------------------------------------------------------------------------------------

any_case = given(n=st.integers(1, 3), size=st.sampled_from([1, 5, 100]), seed=st.integers(0, 10**6))


@any_case
@settings(max_examples=20)
def test_the_inverse_undoes_the_map_up_to_rounding(n, size, seed):
    params = rows_of_numbers(seed, 2 * n + 1, size).astype("float32")
    y = rows_of_numbers(seed + 1, n, 10).astype("float32")
    z, log_det = moved("inverse", y, params)
    again, _ = moved("forward", z, params)
    assert np.isfinite(z).all() and np.isfinite(log_det).all()
    scale = steepness(params) * (1 + np.abs(np.hstack([y, params])).max(axis=1))
    assert np.all(
        np.abs(again - y) <= 30 * np.finfo("float32").eps * scale[:, None]
    )  # some thirty roundings there and back


@any_case
@settings(max_examples=20)
def test_the_log_determinant_is_that_of_the_jacobian(n, size, seed):
    params, z, step = rows_of_numbers(seed, 2 * n + 1, min(size, 5)), rows_of_numbers(seed + 1, n, 3), 1e-5
    with double_precision():
        y, log_det = moved("forward", z, params)
        ends = [[moved("forward", z + sign * step * e, params)[0] for e in np.eye(n)] for sign in (1, -1)]
        # Near a fold a point moves a thousand times as far backwards as forwards, and its error with it.
        np.testing.assert_allclose(np.exp(moved("inverse", y, params)[1]), np.exp(log_det), rtol=1e-6)
    jacobian = np.stack((np.array(ends[0]) - np.array(ends[1])) / (2 * step), axis=-1)
    np.testing.assert_allclose(np.linalg.det(jacobian), np.exp(log_det), atol=1e-6 * steepness(params).max() ** 2)


@any_case
@settings(max_examples=20)
def test_no_parameters_fold_the_map(n, size, seed):
    """Along w, where alone it bends, the map keeps the order of points, however far w . u would lie below -1."""
    params = rows_of_numbers(seed, 2 * n + 1, size)
    w = params[:, n : 2 * n]
    norm = np.linalg.norm(w, axis=1, keepdims=True)
    along = np.linspace(-3, 3, 200)[:, None, None] * w / np.maximum(norm, 1e-9)
    with double_precision():
        y, log_det = moved("forward", along, np.broadcast_to(params, (200, *params.shape)))
    assert np.all(np.diff(np.sum(y * w, axis=-1), axis=0)[:, norm[:, 0] > 1e-3] > 0)
    assert log_det.min() >= np.log(1e-3) - 1e-6
    assert size < 5 or log_det.min() < -2  # the cases do come near a fold


def test_zeros_are_the_identity():
    z = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    for direction in ("forward", "inverse"):
        result, log_det = moved(direction, z, np.zeros(7, "float32"))
        np.testing.assert_array_equal(result, z)
        np.testing.assert_array_equal(log_det, np.zeros(5))


def test_a_map_bends_space_along_u_where_w_points():
    """Against appendix A.1 of the paper, with -1 + log(1 + e^a) moved so that zero stays zero."""
    rng = np.random.default_rng(1)
    u, w, b, z = rng.normal(size=2), rng.normal(size=2), 0.4, rng.normal(size=(6, 2))
    y, _ = moved("forward", z.astype("float32"), np.concatenate([u, w, [b]]).astype("float32"))
    constrained = u + (-1 + np.log1p((np.e - 1) * np.exp(w @ u)) - w @ u) * w / (w @ w)
    np.testing.assert_allclose(y, z + np.tanh(z @ w + b)[:, None] * constrained, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_gradients_through_a_map_are_those_of_differences(doubles, direction):
    rng = np.random.default_rng(2)
    coefficients = rng.normal(size=(6, 3))

    def weighted(points, params):
        points, log_det = getattr(PlanarFlow(), direction)(points, params)
        return ops.sum(points * coefficients[:, :2]) + ops.sum(log_det * coefficients[:, 2])

    # From small parameters to such that w . u would lie below -1.
    params = rng.normal(size=(6, 5)) * np.array([0.3, 0.3, 1, 1, 2, 2])[:, None]
    assert_gradients_are_differences(weighted, rng.normal(size=(6, 2)), params)


# A chain of maps ----------------------------------------------------------------------------------------------------


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
        first, _ = moved("forward", row[:2], row[4:9])
        np.testing.assert_allclose(code, moved("forward", first, row[9:])[0], rtol=1e-4, atol=1e-5)


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


# What is refused ----------------------------------------------------------------------------------------------------


def implicit():
    params, noise = keras.Input((2,)), keras.Input((3,))
    joined = keras.layers.Concatenate()([params, noise])
    return ImplicitPosterior(keras.Model([params, noise], keras.layers.Dense(2)(joined)))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Transformed(StandardNormal(2), []), r"flows must hold at least one flow, for example \[PlanarFlow"),
        (lambda: chain(implicit()), "base must have a density over real numbers; ImplicitPosterior has none"),
        (lambda: chain(Bernoulli(2)), "base must have a density over real numbers; Bernoulli has none"),
        (lambda: chain(StandardNormal(2), num_mean_draws=0), "num_mean_draws must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_a_chain_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
