"""Whatever comes into the model's parts and uses: an error that names the argument, or a right result."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vaelib
from vaelib import evaluation
from vaelib.training.data import DataCheck

NO_SIZE = [0, -1, 2.5, None, "two", True, [0], [2, -3], np.nan, [[1, 2]]]
NO_COUNT = [0, -1, 2.5, None, "two", True, np.nan, [3]]
NO_RANGE = [None, 3, (1, 1), (2, 1), (0, np.nan), (0, np.inf), "ab", (0, 1, 2)]

# What makes a part, the argument that is bad, and what is bad about it.
PARTS = [
    *(
        (lambda bad, kind=kind: kind(bad), "event_shape", NO_SIZE)
        for kind in (
            vaelib.DiagonalNormal, vaelib.FullNormal, vaelib.StandardNormal, vaelib.Bernoulli,
            vaelib.ContinuousBernoulli, vaelib.Normal, vaelib.IsotropicNormal, vaelib.MixturePrior, vaelib.VampPrior,
            vaelib.Categorical, vaelib.CategoricalPrior, vaelib.BernoulliPrior, vaelib.Poisson, vaelib.NegativeBinomial,
            vaelib.UniformCodes,
        )
    ),
    (lambda bad: vaelib.Normal((2, 2), log_var_range=bad), "log_var_range", NO_RANGE),
    (lambda bad: vaelib.VampPrior(2, value_range=bad), "value_range", NO_RANGE),
    (lambda bad: vaelib.MixturePrior(2, num_components=bad), "num_components", NO_COUNT),
    (lambda bad: vaelib.VampPrior(2, num_components=bad), "num_components", NO_COUNT),
    (lambda bad: vaelib.CodeBook(bad, 4), "event_shape", NO_SIZE),
    (lambda bad: vaelib.CodeBook(2, bad), "num_codes", [*NO_COUNT, 1]),
    (lambda bad: vaelib.NegativeBinomial(2, bad), "dispersion", [None, "gene", 3]),
    (lambda bad: vaelib.VectorQuantised(bad), "commitment", [-1, np.nan, np.inf, None, "one", [1, 2]]),
    (lambda bad: vaelib.IWAE(bad), "num_samples", NO_COUNT),
    (lambda bad: vaelib.ScoreFunction(bad), "num_samples", NO_COUNT),
    (lambda bad: vaelib.ScoreFunction(1, bad), "baseline", [np.nan, np.inf, "mean", [1, 2]]),
    (lambda bad: vaelib.VIMCO(bad), "num_samples", [*NO_COUNT, 1]),
    (lambda bad: vaelib.GumbelSoftmax(bad), "temperature", [0, -1, np.nan, np.inf, None, "warm", [1, 2]]),
    (lambda bad: vaelib.StraightThrough(bad), "temperature", [0, -1, np.nan, np.inf, "warm", [1, 2]]),
    (lambda bad: vaelib.ELBO(beta=bad), "beta", [-1, np.nan, np.inf, None, "one", [1, 2]]),
    (lambda bad: vaelib.CosineLearningRate(bad), "peak", [0, -1, np.nan, np.inf, "fast", [1e-3]]),
    (lambda bad: vaelib.dense_encoder(bad, 4), "data_shape", NO_SIZE),
    (lambda bad: vaelib.dense_encoder((2, 2), bad), "params_size", NO_COUNT),
    (lambda bad: vaelib.dense_decoder(bad, 4), "latent_dim", [0, -1, 2.5, None, "two"]),
    (lambda bad: vaelib.dense_decoder(2, bad), "params_size", NO_COUNT),
]  # fmt: skip


def named(call, name):
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    assert name in str(error.value), f"does not name {name}: {error.value!r}"


@pytest.mark.parametrize("i", range(len(PARTS)))
def test_a_part_names_what_is_bad(i):
    make, name, values = PARTS[i]
    for bad in values:
        named(lambda bad=bad: make(bad), name)


@pytest.fixture(scope="module")
def vae(make_vae):
    vae = make_vae(likelihood="Normal")
    vae.compile("adam")
    return vae


BAD_IMAGES = {
    "None": lambda x: None,
    "text": lambda x: "images",
    "a number": lambda x: 3.0,
    "no example": lambda x: x[:0],
    "one example": lambda x: x[0],
    "NaN": lambda x: np.where(np.arange(60)[:, None, None] == 3, np.nan, x),
    "infinity": lambda x: np.where(np.arange(60)[:, None, None] == 3, np.inf, x),
    "objects": lambda x: x.astype(object),
    "complex": lambda x: x + 1j,
    "masked": lambda x: np.ma.masked_array(x, x > 0.5),
    "pixels to 255": lambda x: x * 255,
    "below 0": lambda x: x - 0.5,
    "whole numbers": lambda x: (x * 255).astype(int),
    "beyond 32 bits": lambda x: x.astype("float64") * 1e300,
    "ragged": lambda x: [[1.0], [1.0, 2.0]],
}
USES = ["fit", "evaluate", "encode", "reconstruct", "elbo", "log_evidence", "posterior_params"]


@pytest.mark.parametrize("use", USES)
def test_images_that_do_not_fit_are_named(vae, images, use):
    before = vae.get_weights()
    for spoil in BAD_IMAGES.values():
        named(lambda spoil=spoil: getattr(vae, use)(spoil(images)), "x")
    for old, new in zip(before, vae.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("name", ["epochs", "batch_size", "validation_batch_size"])
def test_numbers_of_fit(vae, images, name):
    for bad in NO_COUNT:
        if bad is not None or name != "validation_batch_size":
            named(lambda bad=bad: vae.fit(images, verbose=0, **{name: bad}), name)


def test_numbers_of_the_uses(vae, images):
    for bad in NO_COUNT:
        named(lambda bad=bad: vae.generate(bad), "n must")
        named(lambda bad=bad: vae.elbo(images, bad), "num_samples")
        named(lambda bad=bad: vae.log_evidence(images, bad), "num_samples")
    for bad in (None, "z", np.full((2, 2), np.nan), np.zeros((2, 3)), np.zeros(2), np.zeros((0, 2))):
        named(lambda bad=bad: vae.decode(bad), "z")


def test_numbers_of_the_evaluation():
    z, factor = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50.0)
    assert np.isfinite(evaluation.factor_recovery(z, factor))
    for bad in (z * np.nan, z[0], "z", None):
        named(lambda bad=bad: evaluation.factor_recovery(bad, factor), "z")
    for bad in (factor * np.nan, factor[:3], "f", np.ones(50)):
        named(lambda bad=bad: evaluation.factor_recovery(z, bad), "factor")
    for bad in NO_COUNT:
        named(lambda bad=bad: evaluation.factor_recovery(z, factor, degree=bad), "degree")
    for bad in (0, -1, 0.9, np.nan):
        named(lambda bad=bad: evaluation.factor_recovery(z, factor, held_out=bad), "held_out")
    for bad in ([1.0], [[1.0, 2.0]], [1.0, np.nan], "v", None):
        named(lambda bad=bad: evaluation.mean_and_error(bad), "values")


floats = st.floats(allow_nan=True, allow_infinity=True, width=32)


@settings(max_examples=20)
@given(st.lists(st.lists(floats, min_size=2, max_size=2), min_size=1, max_size=4))
def test_any_parameters_have_a_density_of_their_own_sample(numbers):
    """Of whatever a network may give, but NaN and what squares beyond a float: no NaN in silence."""
    for kind in (vaelib.DiagonalNormal, vaelib.FullNormal):
        q = kind(1)
        params = np.nan_to_num(np.array(numbers, "float32"), nan=0.0, posinf=1e15, neginf=-1e15).clip(-1e15, 1e15)
        z = keras.ops.convert_to_numpy(q.sample(params, noise=np.ones((len(params), 1), "float32")))
        assert np.isfinite(z).all()
        assert not np.isnan(keras.ops.convert_to_numpy(q.log_prob(z, params))).any()
        assert not np.isnan(keras.ops.convert_to_numpy(vaelib.kl_divergence(q, params, vaelib.StandardNormal(1)))).any()


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 3), max_size=3), st.sampled_from(["float32", "float64", "int64", "bool", "U3", "complex64"])
)
def test_any_weights_and_targets_are_checked(shape, dtype):
    """What comes beside x has a row for each example and is finite, or is named."""
    x, check = np.zeros((2, 3), "float32"), DataCheck(lambda x, name: np.asarray(x))
    for place, name in ((1, "y"), (2, "sample_weight")):
        arguments = [x, None, None]
        arguments[place] = np.ones(shape).astype(dtype)
        try:
            data = check(*arguments)
        except ValueError as error:
            assert name in str(error)
        else:
            assert len(data[place]) == 2 and np.isfinite(data[place]).all()
