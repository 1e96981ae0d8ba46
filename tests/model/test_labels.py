"""The semi-supervised objective against sums over the classes done by hand, and labels that cannot be."""

import keras
import numpy as np
import pytest
from keras import ops
from parts import network_of_two
from scipy import special

import vaelib
from vaelib.model.objectives import ELBO
from vaelib.theory.labels import missing_label_bound

pytestmark = pytest.mark.usefixtures("seeded")

numpy = ops.convert_to_numpy
N, PIXELS, CLASSES = 6, 4, 3
LABELS = np.array([0, -1, 2, -1, 1, -1])


def model(weight=2.0):
    q, p = vaelib.DiagonalNormal(2), vaelib.Bernoulli(PIXELS)
    objective = vaelib.SemiSupervised(vaelib.dense_encoder(PIXELS, CLASSES, (5,)), CLASSES, weight=weight)
    encoder = network_of_two((PIXELS,), (CLASSES,), q.params_size)
    return vaelib.VAE(
        encoder, network_of_two((2,), (CLASSES,), p.params_size), q, p, vaelib.StandardNormal(2), objective
    )


@pytest.fixture(scope="module")
def x():
    return (np.random.default_rng(0).random((N, PIXELS)) < 0.5).astype("float32")


def test_its_terms_are_sums_over_the_classes(x):
    vae = model()
    noise = numpy(vae.objective.noise(vae, N))
    terms = {name: numpy(term) for name, term in vae.loss_terms(x, LABELS, noise=noise).items()}
    each = [
        ELBO().losses(vae, x, np.eye(CLASSES, dtype="float32")[np.full(N, k)], noise[k * N : (k + 1) * N])
        for k in range(CLASSES)
    ]
    bounds = -np.stack([numpy(part["loss"]) for part in each], axis=1).astype(float) - np.log(CLASSES)
    q = special.softmax(numpy(vae.objective.classifier(x)).astype(float), axis=1)
    known = LABELS >= 0
    expected = np.where(
        known,
        -bounds[np.arange(N), LABELS] - 2.0 * np.log(q[np.arange(N), LABELS]),
        -missing_label_bound(bounds, q),
    )
    np.testing.assert_allclose(terms["loss"], expected, rtol=1e-5)
    reported = terms["reconstruction"] + terms["kl"] + terms["label_kl"] + 2.0 * terms["classification"]
    np.testing.assert_allclose(terms["loss"], reported, rtol=1e-6)
    np.testing.assert_allclose(terms["label_kl"][known], np.log(CLASSES), rtol=1e-6)
    assert np.all(terms["classification"][~known] == 0) and np.all(terms["classification"][known] > 0)
    missing = numpy(vae.loss_terms(x, np.full(N, -1), noise=noise)["loss"])
    np.testing.assert_allclose(numpy(vae.loss_terms(x, noise=noise)["loss"]), missing)


def test_it_trains_on_a_column_of_labels_and_is_loaded(x, without_xla, tmp_path):
    vae = model()
    vae.compile("adam")
    history = vae.fit(np.tile(x, (4, 1)), np.tile(LABELS, 4)[:, None], batch_size=8, epochs=2, verbose=0).history
    assert set(history) == set(vae.objective.names) and np.all(np.isfinite(history["loss"]))
    vae.save(tmp_path / "m2.keras")
    loaded = vaelib.load(tmp_path / "m2.keras")
    np.testing.assert_allclose(numpy(loaded.objective.classifier(x)), numpy(vae.objective.classifier(x)), rtol=1e-6)


def test_a_classifier_that_was_trained_by_itself_keeps_its_loss_to_itself(x, without_xla):
    vae, epochs = model(), dict(batch_size=N, epochs=1, verbose=0)
    classifier = vae.objective.classifier
    classifier.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    classifier.fit(x, np.maximum(LABELS, 0), **epochs)
    vae.compile(keras.optimizers.SGD(0.0))
    history = vae.fit(x, LABELS, **epochs).history
    terms = sum(history[name][0] for name in ("reconstruction", "kl", "label_kl"))
    np.testing.assert_allclose(history["loss"][0], terms + 2.0 * history["classification"][0], rtol=1e-5)
    assert len({metric.name for metric in vae.metrics}) == len(vae.metrics)


BAD = {
    "a class too many": ([0, 1, 3, 0, 0, 0], "row 2 holds 3"),
    "another code for missing": ([0, 1, 2, -2, 0, -2], r"row 3 holds -2 \(1 more are wrong\)"),
    "a fraction": ([0, 1, 0.5, 0, 0, 0], "row 2 holds 0.5"),
    "rows of zeros and a one": (np.eye(3)[[0, 1, 2, 0, 1, 2]], "pass the argmax"),
}


@pytest.mark.parametrize("name", BAD)
def test_labels_that_cannot_be_are_named_before_training(x, name):
    vae, (y, message) = model(), BAD[name]
    vae.compile("adam")
    with pytest.raises(ValueError, match=f"y must .*{message}"):
        vae.fit(x, np.array(y), verbose=0)
    with pytest.raises(ValueError, match="labels must "):
        vaelib.one_hot(y, CLASSES)


def test_a_missing_label_is_no_class():
    np.testing.assert_array_equal(vaelib.one_hot([2, 0], 3), [[0, 0, 1], [1, 0, 0]])
    with pytest.raises(ValueError, match="row 1 holds -1.*A missing label is no class"):
        vaelib.one_hot([0, -1], 3)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(num_classes=4), "num_classes = 4 logits per example"),
        (dict(num_classes=1), "num_classes must be at least 2"),
        (dict(num_classes=3, weight=-1.0), "weight must be a finite number of at least 0"),
        (dict(num_classes=3, beta=-1.0), "beta must be"),
    ],
)
def test_settings_that_cannot_be_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        vaelib.SemiSupervised(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), **settings)
