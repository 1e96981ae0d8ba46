"""Objectives of discrete latents: their means against enumeration, by draws of the model itself."""

import keras
import numpy as np
import pytest
from gradients import variable_gradients
from keras import ops

import vaelib
from vaelib import GumbelSoftmax, ScoreFunction, StraightThrough
from vaelib.model.score_function import VIMCO
from vaelib.theory.discrete import SigmoidBeliefNetwork, TwoPoints, softmax_gradient

numpy = ops.convert_to_numpy
pytestmark = pytest.mark.usefixtures("seeded")
H, D, N = 3, 4, 40_000
RNG = np.random.default_rng(0)
W, B, C, A = RNG.normal(size=(D, H)), RNG.normal(size=H), RNG.normal(size=D), RNG.normal(size=H)
X = np.array([1.0, 0.0, 0.0, 1.0])
EXACT = SigmoidBeliefNetwork(W, B, C)


def belief_network(objective):
    """A sigmoid belief network whose encoder says A for every image."""
    q, p = vaelib.Bernoulli(H, seed=1), vaelib.Bernoulli(D)
    encoder, decoder = vaelib.dense_encoder(D, H, ()), vaelib.dense_decoder(H, D, ())
    vae = vaelib.VAE(encoder, decoder, q, p, vaelib.BernoulliPrior(H), objective)
    encoder.set_weights([np.zeros((D, H)), A])
    decoder.set_weights([W.T, C])
    vae.prior.logits.assign(B)
    return vae


def slope(vae, x, noise, name, variable):
    return variable_gradients(lambda: ops.mean(vae.loss_terms(x, noise=noise)[name]), [variable])[1][0]


def encoder_gradients(objective, repeats=20):
    """Estimates of the gradient in A, each a mean over many draws, shape (repeats, H); and the mean loss."""
    vae = belief_network(objective)
    x = np.tile(X, (N // repeats, 1)).astype("float32")
    a = vae.encoder.trainable_variables[-1]
    found, losses = [], []
    for _ in range(repeats):
        noise = objective.noise(vae, len(x))
        losses.append(float(ops.mean(vae.loss_terms(x, noise=noise)["loss"])))
        found.append(slope(vae, x, noise, "encoder", a))
    return np.array(found), np.array(losses)


def close(estimates, expected):
    error = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    return np.all(np.abs(estimates.mean(axis=0) - expected) < 6 * error)  # t with 19 degrees of freedom


@pytest.mark.parametrize(("num_samples", "baseline"), [(1, None), (1, 3.0), (1, "batch"), (2, "leave-one-out")])
def test_score_functions_have_the_mean_of_enumeration(num_samples, baseline):
    gradients, losses = encoder_gradients(ScoreFunction(num_samples, baseline))
    assert close(gradients, -EXACT.elbo_gradient(X, A))
    assert close(losses, -EXACT.elbo(X, A))


def test_vimco_has_the_mean_of_the_bound_of_two():
    gradients, losses = encoder_gradients(VIMCO(2))
    assert close(gradients, -EXACT.bound_of_two_gradient(X, A))
    assert close(losses, -EXACT.bound_of_two(X, A))


def test_vimco_of_many_draws_is_the_formula_in_loops():
    vae, k = belief_network(VIMCO(4)), 4
    noise = vae.objective.noise(vae, 1)
    surrogate = lambda: ops.mean(vae.loss_terms(X[None].astype("float32"), noise=noise)["encoder"])  # noqa: E731
    _, (gradient,) = variable_gradients(surrogate, [vae.encoder.trainable_variables[-1]])
    h = numpy(vae.posterior.sample(A[None].astype("float32"), noise))[:, 0]
    p = 1 / (1 + np.exp(-A))
    rows = [int(row @ 2 ** np.arange(H)) for row in h]
    log_w = EXACT.log_weights(X, A)[0][rows]
    bound = np.log(np.mean(np.exp(log_w)))
    expected = np.zeros(H)
    for j in range(k):
        replaced = log_w.copy()
        replaced[j] = np.mean(np.delete(log_w, j))
        expected += (bound - np.log(np.mean(np.exp(replaced)))) * (h[j] - p)
        expected -= np.exp(log_w[j]) / np.exp(log_w).sum() * (h[j] - p)
    np.testing.assert_allclose(gradient, -expected, rtol=1e-4, atol=1e-5)


# Paths through draws, on the two points of the theory -----------------------------------------------------------------

TOY, PROB = TwoPoints(0.45), 0.3


class Square(vaelib.Bernoulli):
    """What decodes to (z - t)^2, as a likelihood of one pixel: log p(x|z) = -(params - t)^2."""

    def log_prob(self, value, params=None):
        return -ops.sum(ops.square(params - 0.45), axis=-1)


def slope_of_two_points(objective):
    encoder, decoder = vaelib.dense_encoder(1, 1, ()), vaelib.dense_decoder(1, 1, ())
    vae = vaelib.VAE(encoder, decoder, vaelib.Bernoulli(1), Square(1), vaelib.BernoulliPrior(1), objective)
    logit = np.log(PROB / (1 - PROB))
    encoder.set_weights([np.zeros((1, 1)), np.array([logit])])
    decoder.set_weights([np.ones((1, 1)), np.zeros(1)])
    vae.prior.logits.assign([logit])  # the KL has no slope there
    x, a = np.zeros((20_000, 1), "float32"), encoder.trainable_variables[-1]
    name = "encoder" if "encoder" in vae.players() else "loss"
    return np.array([slope(vae, x, objective.noise(vae, len(x)), name, a) for _ in range(20)])


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (ScoreFunction(), TOY.gradient(PROB)),
        (GumbelSoftmax(0.5), TOY.relaxed_gradient(PROB, 0.5)),
        (GumbelSoftmax(1.5), TOY.relaxed_gradient(PROB, 1.5)),
        (StraightThrough(), TOY.straight_through(PROB)),
        (StraightThrough(0.5), TOY.straight_through_relaxed(PROB, 0.5)),
    ],
    ids=["score function", "relaxed", "warm", "straight through", "hard and relaxed"],
)
def test_paths_have_the_slopes_that_the_theory_says(objective, expected):
    assert close(slope_of_two_points(objective), [expected])


def test_through_classes_the_slope_is_that_of_the_simplex():
    """Straight-through of K classes and a linear loss is unbiased: pi (f - pi . f)."""
    q, f = vaelib.Categorical((1, 3)), np.array([0.3, -1.0, 2.0], "float32")
    logits = np.array([[0.2, -0.5, 0.9]], "float32")
    pi = np.exp(logits[0]) / np.exp(logits[0]).sum()
    draw = StraightThrough().draw
    variable = keras.Variable(logits)
    loss = lambda: ops.sum(draw(q, variable, q.noise((1,))) * f)  # noqa: E731
    np.testing.assert_allclose(variable_gradients(loss, [variable])[1][0][0], softmax_gradient(pi, f), rtol=1e-4)


def test_a_relaxed_draw_has_the_hard_one_for_its_largest_entry():
    for q, logits in ((vaelib.Categorical((2, 4)), np.ones((500, 8))), (vaelib.Bernoulli(6), np.full((500, 6), -0.4))):
        noise = q.noise((3, 500))
        logits = (logits * RNG.normal(size=logits.shape)).astype("float32")
        soft = {tau: numpy(q.relaxed(logits, noise, tau)) for tau in (0.01, 0.7, 5.0)}
        hard = numpy(q.sample(logits, noise))
        for y in soft.values():
            assert y.shape == hard.shape and y.min() >= 0 and y.max() <= 1
            largest = y > 0.5 if q.support == "binary" else y == y.max(axis=-1, keepdims=True)
            np.testing.assert_array_equal(largest, hard == 1)
        assert np.mean(np.abs(soft[0.01] - hard)) < 0.01 < np.mean(np.abs(soft[5.0] - hard))


def test_a_temperature_changes_in_a_compiled_graph_and_is_saved():
    objective = GumbelSoftmax(2.0)
    vae = belief_network(objective)
    vae.compile("adam")
    x = np.tile(X, (8, 1)).astype("float32")
    vae.fit(x, verbose=0)
    objective.temperature = 0.25
    assert GumbelSoftmax.from_config(objective.get_config()).get_config()["temperature"] == 0.25
    assert np.isfinite(vae.fit(x, verbose=0).history["loss"][0])


@pytest.mark.parametrize("bad", [0, -0.5, np.nan, np.inf, "warm", None])
def test_a_temperature_must_be_above_zero(bad):
    for make in (GumbelSoftmax, StraightThrough):
        if bad is None and make is StraightThrough:
            continue
        with pytest.raises(ValueError, match="temperature must be a finite number above 0"):
            make(bad)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScoreFunction(0), "num_samples"),
        (lambda: ScoreFunction(1, "leave-one-out"), "one draw has no others"),
        (lambda: ScoreFunction(1, "mean"), '"batch" or "leave-one-out"; received .mean'),
        (lambda: VIMCO(1), "at least 2"),
        (lambda: vaelib.Categorical((20, 1)), r"number of classes, at least 2.*received \(20, 1\)"),
        (lambda: vaelib.Categorical((2, 2)).check(np.full((1, 2, 2), 0.9)), "sum to 1 .* 2 classes.*off by 0.8"),
        (lambda: vaelib.CategoricalPrior(0), "event_shape"),
        (lambda: vaelib.BernoulliPrior(2.5), "event_shape"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
