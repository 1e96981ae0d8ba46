"""Grey pixels as probabilities: one draw of black and white in each step, which every term of the loss sees."""

import keras
import numpy as np
import pytest
from gradients import variable_gradients
from keras import ops

import vaelib
from vaelib.model.objectives import ELBO, Objective
from vaelib.model.posteriors import DiagonalNormal

pytestmark = pytest.mark.usefixtures("seeded")

numpy = ops.convert_to_numpy


class Spy(Objective):
    """Reports what the encoder saw, and what the likelihood would be asked about."""

    names = ("loss", "seen", "asked")

    def losses(self, vae, x, y=None, noise=None, training=False):
        seen = vae.run_encoder(x)[:, 0]  # the sum of the pixels, see below
        reconstruction = -vae.likelihood.log_prob(x, vae.run_decoder(ops.zeros((ops.shape(x)[0], 2))))
        return {"loss": reconstruction + 0.0 * seen, "seen": seen, "asked": ops.sum(x, axis=(1, 2))}


class Noiseless(DiagonalNormal):
    """A posterior whose noise is zero: what then differs from step to step is x."""

    def noise(self, num=()):
        return ops.zeros((*((num,) if isinstance(num, int) else num), *self.event_shape))


def adding_up(vae):
    """Make the encoder's first output the sum of the pixels."""
    kernel, bias = (np.zeros_like(w) for w in vae.encoder.get_weights())
    kernel[:, 0] = 1.0
    vae.encoder.set_weights([kernel, bias])
    return vae


def test_every_term_sees_the_same_draw_and_each_call_a_new_one(make_vae, images):
    vae = adding_up(make_vae("linear", objective=Spy(), binarise=True))
    first, second = ({name: numpy(term) for name, term in vae.loss_terms(images).items()} for _ in range(2))
    np.testing.assert_allclose(first["seen"], first["asked"], rtol=1e-5)
    assert np.all(first["asked"] == np.round(first["asked"]))
    assert np.mean(first["asked"] != second["asked"]) > 0.5


def test_pixels_are_black_or_white_with_the_grey_as_their_probability(make_vae, images):
    vae, n = make_vae(binarise=True), 4_000
    draws = numpy(vae.binarised(ops.convert_to_tensor(np.repeat(images[:1], n, axis=0))))
    assert set(np.unique(draws)) == {0.0, 1.0} and draws.shape == (n, 8, 8)
    error = np.sqrt(images[0] * (1 - images[0]) / n)
    assert np.all(np.abs(draws.mean(axis=0) - images[0]) <= 5 * error)
    # Each pixel and each example has a draw of its own.
    assert np.abs(np.corrcoef(draws.reshape(n, 64)[:, [3, 40]].T)[0, 1]) < 5 / np.sqrt(n)
    black_and_white = ops.convert_to_tensor(np.round(images))
    np.testing.assert_array_equal(vae.binarised(black_and_white), black_and_white)
    plain = make_vae()
    np.testing.assert_array_equal(plain.binarised(ops.convert_to_tensor(images)), images)


@pytest.mark.parametrize("binarise", [True, False])
def test_each_compiled_step_has_a_draw_of_its_own(make_vae, images, without_xla, binarise):
    vae = make_vae(posterior=Noiseless, binarise=binarise)
    vae.compile(keras.optimizers.SGD(0.0))
    # The same image in every step and nothing that learns: the epochs differ by their draws alone.
    history = vae.fit(np.repeat(images[:1], 4, axis=0), epochs=4, batch_size=4, verbose=0).history
    assert len(set(np.round(history["loss"], 4))) == (4 if binarise else 1)
    assert history["loss"][0] == pytest.approx(history["reconstruction"][0] + history["kl"][0], rel=1e-5)


def test_all_samples_of_an_evaluation_share_one_draw_of_each_image(make_vae):
    """Where z says nothing, one pixel has two values of log p(x), and an estimate with many samples is one of them."""
    vae = make_vae("linear", shape=(1,), binarise=True)
    vae.decoder.set_weights([np.zeros((2, 1)), np.array([1.0])])
    vae.encoder.set_weights([np.zeros((1, 4)), np.zeros(4)])
    x = np.full((200, 1), 0.3, "float32")
    for estimate in (vae.elbo(x, 20), vae.log_evidence(x, 20)):
        white = np.isclose(estimate, -np.log1p(np.exp(-1)), atol=1e-4)
        black = np.isclose(estimate, -np.log1p(np.exp(1)), atol=1e-4)
        assert np.all(white | black) and abs(white.mean() - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 200)


def test_the_gradient_is_that_of_the_black_and_white_loss(make_vae, images):
    """A draw has no slope: what is left of the loss's gradient is that of the drawn image."""
    vae = make_vae(posterior=Noiseless, binarise=True)
    drawn = []
    draw = vae.binarised
    vae.binarised = lambda x: drawn.append(numpy(draw(x))) or ops.convert_to_tensor(drawn[-1])
    _, gradients = variable_gradients(lambda: vae.compute_loss(x=images), vae.trainable_variables)
    other = vaelib.VAE(vae.encoder, vae.decoder, vae.posterior, vae.likelihood, vae.prior, ELBO())
    _, expected = variable_gradients(lambda: other.compute_loss(x=drawn[-1]), other.trainable_variables)
    for one, another in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("likelihood, support", [("ContinuousBernoulli", "unit"), ("Normal", "real")])
def test_other_supports_are_refused_by_name(make_vae, likelihood, support):
    message = f'binarise needs a likelihood of pixels that are 0 or 1; {likelihood} has the support "{support}"'
    with pytest.raises(ValueError, match=message):
        make_vae(likelihood=likelihood, binarise=True)


def test_a_model_keeps_its_binarisation(make_vae, tmp_path):
    vae = make_vae(binarise=True)
    assert vaelib.VAE.from_config(vae.get_config()).binarise and not make_vae().binarise
    vae.save(tmp_path / "vae.keras")
    assert vaelib.load(tmp_path / "vae.keras").binarise
