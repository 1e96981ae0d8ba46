"""Models that read something beside x: p(x|z, y) and q(z|x, y)."""

import keras
import numpy as np
import pytest
from keras import ops
from parts import network_of_two
from scipy import stats
from scipy.special import expit

import vaelib
from vaelib.model import evaluation
from vaelib.model.objectives import IWAE, AdversarialELBO

pytestmark = pytest.mark.usefixtures("seeded")

numpy = ops.convert_to_numpy
N, PIXELS, CLASSES = 40, 4, 3


def conditional(objective=None, encoder=None, decoder=None):
    q, p = vaelib.DiagonalNormal(2), vaelib.Bernoulli(PIXELS)
    encoder = encoder or network_of_two((PIXELS,), (CLASSES,), q.params_size)
    decoder = decoder or network_of_two((2,), (CLASSES,), p.params_size)
    return vaelib.VAE(encoder, decoder, q, p, vaelib.StandardNormal(2), objective)


@pytest.fixture(scope="module")
def data():
    """Four pixels whose probabilities are those of one of three classes, and the classes as rows of zeros and a one."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, CLASSES, N)
    probabilities = rng.uniform(0.05, 0.95, size=(CLASSES, PIXELS))
    x = rng.uniform(size=(N, PIXELS)) < probabilities[classes]
    return x.astype("float32"), np.eye(CLASSES, dtype="float32")[classes]


def test_encoder_and_decoder_read_y(data):
    vae, (x, y) = conditional(), data
    eps = np.random.default_rng(1).normal(size=(N, 2)).astype("float32")
    terms = vae.loss_terms(x, y, noise=eps)
    mu, log_var = np.split(numpy(vae.encoder([x, y])).astype(float), 2, axis=1)
    z = (mu + np.exp(log_var / 2) * eps).astype("float32")
    log_px = stats.bernoulli.logpmf(x.astype(int), expit(numpy(vae.decoder([z, y])).astype(float))).sum(axis=1)
    np.testing.assert_allclose(numpy(terms["reconstruction"]), -log_px, rtol=1e-4)
    np.testing.assert_allclose(numpy(terms["kl"]), 0.5 * (mu**2 + np.exp(log_var) - 1 - log_var).sum(axis=1), rtol=1e-4)
    assert not np.allclose(terms["loss"], vae.loss_terms(x, y[:, ::-1], noise=eps)["loss"])
    np.testing.assert_allclose(vae.encode(x, y), mu, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(vae.decode(mu, y), expit(numpy(vae.decoder([mu, y]))), rtol=1e-5)
    np.testing.assert_array_equal(vae.reconstruct(x, y), vae.decode(vae.encode(x, y), y))
    assert vae.generate(N, y).shape == (N, PIXELS)


def test_each_of_several_codes_meets_the_y_of_its_example(data):
    vae, (x, y) = conditional(IWAE(5)), data
    z = np.random.default_rng(1).normal(size=(5, N, 2)).astype("float32")
    together = numpy(vae.run_decoder(z, y))
    assert together.shape == (5, N, PIXELS)
    np.testing.assert_allclose(together, [numpy(vae.decoder([codes, y])) for codes in z], rtol=1e-5, atol=1e-6)
    assert vae.loss_terms(x, y)["loss"].shape == (N,)


def test_blocks_of_samples_keep_each_y_with_its_example(data, monkeypatch):
    """Where z says nothing, log p(x) is log p(x|y) of the decoder, exactly."""
    z, y_in = keras.Input((2,)), keras.Input((CLASSES,))
    nothing = keras.layers.Dense(PIXELS, kernel_initializer="zeros")(z)
    decoder = keras.Model([z, y_in], keras.layers.Add()([nothing, keras.layers.Dense(PIXELS)(y_in)]))
    vae, (x, y) = conditional(decoder=decoder), data
    vae.encoder.set_weights([np.zeros_like(w) for w in vae.encoder.get_weights()])  # q is the prior: its KL is zero
    logits = numpy(decoder([np.zeros((N, 2), "float32"), y])).astype(float)
    expected = stats.bernoulli.logpmf(x.astype(int), expit(logits)).sum(axis=1)
    monkeypatch.setattr(evaluation, "ROWS_AT_ONCE", 7)
    for worth_compiling in (0, np.inf):
        monkeypatch.setattr(evaluation, "WORTH_COMPILING", worth_compiling)
        np.testing.assert_allclose(vae.elbo(x, 3, y=y), expected, rtol=1e-5)
        np.testing.assert_allclose(vae.log_evidence(x, 3, y=y), expected, rtol=1e-4)
    scores = evaluation.score(vae, x, 2, 2, y=y)
    np.testing.assert_allclose(scores.elbo, expected, rtol=1e-5)


def test_fit_learns_what_y_says(data, without_xla):
    x, y = np.tile(data[0], (20, 1)), np.tile(data[1], (20, 1))
    vae = conditional()
    vae.compile(keras.optimizers.Adam(0.02))
    history = vae.fit(x, y, epochs=15, validation_data=(x[:N], y[:N]), verbose=0).history
    assert history["loss"][-1] < history["loss"][0] and len(history["val_loss"]) == 15
    assert vae.evaluate(x, y)[0] == pytest.approx(history["val_loss"][-1], rel=0.1)
    # Told another class, it is worse than told the right one.
    right, wrong = vae.elbo(x[:N], 20, y=y[:N]), vae.elbo(x[:N], 20, y=np.roll(y[:N], 1, axis=1))
    assert right.mean() > wrong.mean() + 0.5
    # A generated image of a class has the frequencies of that class.
    for k in range(CLASSES):
        of_class = data[1][:, k] == 1
        generated = vae.generate(200, np.tile(np.eye(CLASSES, dtype="float32")[k], (200, 1))).mean(axis=0)
        assert np.corrcoef(generated, data[0][of_class].mean(axis=0))[0, 1] > 0.8


def test_a_decoder_may_read_several_parts_that_an_encoder_does_not(data, without_xla):
    z, a, b = keras.Input((2,)), keras.Input((CLASSES,)), keras.Input((1,))
    decoder = keras.Model([z, a, b], keras.layers.Dense(PIXELS)(keras.layers.Concatenate()([z, a, b])))
    vae, (x, y) = conditional(encoder=vaelib.dense_encoder((PIXELS,), 4, (3,)), decoder=decoder), data
    parts = (y, np.linspace(0, 1, N, dtype="float32")[:, None])
    vae.compile("adam")
    assert np.isfinite(vae.fit(x, parts, batch_size=8, verbose=0).history["loss"][0])
    assert vae.elbo(x, 2, y=parts).shape == (N,) and vae.encode(x).shape == (N, 2)


ONE_PART = r"has 2 inputs: one and 1 parts of y; received {} parts of y. Pass them as fit\(x, y\), elbo\(x, y=y\)"


@pytest.mark.parametrize("parts", [0, 2])
def test_missing_and_superfluous_parts_of_y_are_named(data, parts):
    vae, (x, y) = conditional(), data
    y = None if parts == 0 else (y, y)
    for use in (vae.loss_terms, vae.encode, lambda x, y: vae.elbo(x, 2, y=y)):
        with pytest.raises(ValueError, match="the encoder " + ONE_PART.format(parts)):
            use(x, y)
    for use in (vae.decode, lambda z, y: vae.generate(len(z), y)):
        with pytest.raises(ValueError, match="the decoder " + ONE_PART.format(parts)):
            use(np.zeros((N, 2)), y)


def test_y_has_a_row_for_each_example(data):
    vae, (x, y) = conditional(), data
    message = r"each part of y must have one row per example, 40 here; received shape \({}"
    for use in (lambda y: vae.elbo(x, 2, y=y), lambda y: vae.encode(x, y), lambda y: vae.generate(N, y)):
        for rows in (y[:-1], np.tile(y, (2, 1))):
            with pytest.raises(ValueError, match=message.format(len(rows))):
                use(rows)
        with pytest.raises(ValueError, match=message.format("")):
            use(3)


def test_a_critic_that_does_not_read_y_is_refused():
    objective = AdversarialELBO(network_of_two((PIXELS,), (2,), 1))
    with pytest.raises(ValueError, match="the encoder has 2 inputs, but the critic reads x and z alone"):
        conditional(objective)
    conditional(objective, encoder=vaelib.dense_encoder((PIXELS,), 4, (3,)))  # y in the decoder alone does not matter


def test_a_conditional_model_is_saved_and_loaded(data, tmp_path):
    vae, (x, y) = conditional(), data
    vae.save(tmp_path / "conditional.keras")
    loaded = vaelib.load(tmp_path / "conditional.keras")
    np.testing.assert_allclose(loaded.reconstruct(x, y), vae.reconstruct(x, y), rtol=1e-6)
