"""Flows: invertible whatever the parameters, with the change of volume that their Jacobian has."""

import numpy as np
import pytest
from gradients import assert_gradients_are_differences, double_precision
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from vaelib.model.flows import CouplingFlow, Flow, InverseAutoregressiveFlow, PlanarFlow

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


# Planar maps ---------------------------------------------------------------------------------------------------------

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


# Maps with a network of their own ------------------------------------------------------------------------------------

AFFINE = [CouplingFlow, InverseAutoregressiveFlow]


def affine(kind, n, hidden_units=(5,), context_size=3, scale=0.7, **options):
    """Make a flow whose weights are random: a new one is the identity."""
    flow = kind(hidden_units, context_size, seed=0, **options)
    flow.build((None, n))
    rng = np.random.default_rng(1)
    for variable in flow.trainable_variables:
        variable.assign(scale * rng.normal(size=variable.shape))
    return flow


def jacobian(function, z, step=1e-5):
    ends = [[function(z + sign * step * e) for e in np.eye(len(z))] for sign in (1, -1)]
    return np.stack((np.array(ends[0]) - np.array(ends[1])) / (2 * step), axis=-1)


@pytest.mark.parametrize("kind", AFFINE)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("hidden_units", [(), (5,), (7, 4)], ids=str)
def test_the_jacobian_is_triangular_and_its_determinant_is_the_one_given(doubles, kind, hidden_units, reverse):
    n, rng = 5, np.random.default_rng(2)
    flow, context = affine(kind, n, hidden_units, reverse=reverse), rng.normal(size=3)
    for z in rng.normal(size=(3, n)):
        y, log_det = flow.forward(ops.convert_to_tensor(z), ops.convert_to_tensor(context))
        found = jacobian(lambda z: numpy(flow.forward(ops.convert_to_tensor(z), context)[0]), z)
        assert np.linalg.slogdet(found)[1] == pytest.approx(float(log_det), abs=1e-8)
        in_order = found[::-1, ::-1] if reverse else found
        assert np.abs(np.triu(in_order, 1)).max() < 1e-9
        groups = flow.groups(n)
        below = groups[:, None] > groups
        assert np.all((np.abs(in_order) > 1e-6)[below])  # every later group depends on every earlier one
        again, its_log_det = flow.inverse(y, context)
        np.testing.assert_allclose(numpy(again), z, atol=1e-12)
        assert float(its_log_det) == pytest.approx(float(log_det), abs=1e-12)


@pytest.mark.parametrize("kind", AFFINE)
def test_a_new_one_is_the_identity_and_learns_from_its_first_step(kind):
    flow, z = kind((4,), seed=0), np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    flow.build((None, 4))
    y, log_det = flow.forward(ops.convert_to_tensor(z), None)
    np.testing.assert_array_equal(numpy(y), z)
    np.testing.assert_array_equal(numpy(log_det), np.zeros(6))
    flow.trainable_variables[-2].assign(np.ones(flow.trainable_variables[-2].shape))  # the last kernel
    assert np.any(numpy(flow.forward(ops.convert_to_tensor(z), None)[0]) != z)


@pytest.mark.parametrize("kind", AFFINE)
def test_each_example_has_the_map_of_its_own_context(kind):
    rng = np.random.default_rng(3)
    flow, z, context = affine(kind, 4), rng.normal(size=(7, 6, 4)), rng.normal(size=(6, 3))
    z, context = z.astype("float32"), context.astype("float32")
    y, log_det = flow.forward(ops.convert_to_tensor(z), ops.convert_to_tensor(context))
    assert y.shape == (7, 6, 4) and log_det.shape == (7, 6)
    for i in range(6):
        alone, its = flow.forward(ops.convert_to_tensor(z[:, i]), ops.convert_to_tensor(context[i]))
        np.testing.assert_allclose(numpy(y)[:, i], numpy(alone), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(numpy(log_det)[:, i], numpy(its), rtol=1e-5, atol=1e-5)
    assert np.abs(numpy(y[:, 0] - flow.forward(z[:, 0], context[1])[0])).max() > 0.01


@pytest.mark.parametrize("kind", AFFINE)
def test_no_weights_overflow(kind):
    flow = affine(kind, 4, scale=1e4)
    z = np.random.default_rng(4).normal(size=(50, 4)).astype("float32")
    y, log_det = flow.forward(ops.convert_to_tensor(z), np.ones(3, "float32"))
    assert np.isfinite(numpy(y)).all() and np.abs(numpy(log_det)).max() <= 3 * 3 + 1e-5


@pytest.mark.parametrize("kind", AFFINE)
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_gradients_through_a_network_are_those_of_differences(doubles, kind, direction):
    rng, flow = np.random.default_rng(5), affine(kind, 3)
    coefficients = rng.normal(size=(6, 4))

    def weighted(points, context):
        points, log_det = getattr(flow, direction)(points, context)
        return ops.sum(points * coefficients[:, :3]) + ops.sum(log_det * coefficients[:, 3])

    assert_gradients_are_differences(weighted, rng.normal(size=(6, 3)), rng.normal(size=(6, 3)))


# What is refused -----------------------------------------------------------------------------------------------------


class Fold(Flow):
    """A map without an inverse."""

    def params_size(self, num_values):
        return 0

    def forward(self, z, params):
        return ops.abs(z), ops.zeros(z.shape[:-1])


@pytest.mark.parametrize(
    "what, error, message",
    [
        (
            lambda: CouplingFlow().build((None, 1)),
            ValueError,
            "CouplingFlow .* at least 2; received 1.* PlanarFlow",
        ),
        (lambda: CouplingFlow((0,)), ValueError, r"hidden_units\[0\] must be a whole number of at least 1"),
        (lambda: InverseAutoregressiveFlow(context_size=-1), ValueError, "context_size must be a whole number"),
        (
            lambda: Fold().inverse(np.ones((1, 2)), None),
            NotImplementedError,
            "Fold has no inverse.*sample_and_log",
        ),
        (lambda: Flow().forward(np.ones((1, 2)), None), NotImplementedError, "Flow must give forward"),
        (lambda: Flow().params_size(2), NotImplementedError, "Flow must give params_size"),
    ],
)
def test_what_cannot_be_is_refused_by_name(what, error, message):
    with pytest.raises(error, match=message):
        what()
