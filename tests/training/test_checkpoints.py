"""What is kept of a latent space while it is being learned."""

import keras
import numpy as np
import pytest

import vaelib
from vaelib.training.checkpoints import LatentCheckpoints, spread_epochs


def small_vae(likelihood_type=vaelib.Bernoulli):
    keras.utils.set_random_seed(0)
    posterior, likelihood = vaelib.DiagonalNormal(2, seed=0), likelihood_type((4, 3))
    encoder = vaelib.dense_encoder((4, 3), posterior.params_size, 5)
    decoder = vaelib.dense_decoder(2, likelihood.params_size, 5)
    vae = vaelib.VAE(encoder, decoder, posterior, likelihood, vaelib.StandardNormal(2))
    vae.compile(keras.optimizers.Adam(0.05))
    return vae


@pytest.mark.parametrize("likelihood_type", [vaelib.Bernoulli, vaelib.Normal])
def test_each_checkpoint_is_the_model_of_its_epoch(likelihood_type):
    x = np.random.default_rng(0).random((20, 4, 3)).astype("float32")
    codes = np.random.default_rng(1).standard_normal((9, 2)).astype("float32")
    vae, weights = small_vae(likelihood_type), {}
    weights[0] = vae.get_weights()
    kept = LatentCheckpoints(x[:6], codes, [0, 1, 3, 99])
    remember = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.update({epoch + 1: vae.get_weights()})
    )
    vae.fit(x, epochs=3, batch_size=10, verbose=0, callbacks=[kept, remember])
    assert kept.epochs == [0, 1, 3]
    for i, epoch in enumerate(kept.epochs):
        vae.set_weights(weights[epoch])
        np.testing.assert_allclose(kept.mu[i], vae.encode(x[:6]), atol=1e-6)
        assert np.abs(kept.images[i] - 255 * vae.decode(codes)).max() <= 0.51
        assert kept.log_var[i].shape == (6, 2) and kept.images[i].shape == (9, 4, 3)
    assert not np.allclose(kept.mu[0], kept.mu[1]) and not np.allclose(kept.mu[1], kept.mu[2])
    vae.fit(x, epochs=1, batch_size=10, verbose=0, callbacks=[kept])
    assert kept.epochs == [0, 1]  # a new training begins anew


def test_another_model_may_train_the_networks_of_the_vae_that_is_looked_at():
    x = np.random.default_rng(0).random((20, 4, 3)).astype("float32")
    vae, codes = small_vae(), np.zeros((4, 2), "float32")
    autoencoder = keras.Sequential([vae.encoder, keras.layers.Lambda(lambda params: params[:, :2]), vae.decoder])
    autoencoder.compile(keras.optimizers.Adam(0.05), "mse")
    kept = LatentCheckpoints(x[:6], codes, [0, 1], vae=vae)
    autoencoder.fit(x, x.reshape(20, 12), epochs=1, verbose=0, callbacks=[kept])
    np.testing.assert_allclose(kept.mu[1], vae.encode(x[:6]), atol=1e-6)
    assert not np.allclose(kept.mu[0], kept.mu[1])


@pytest.mark.parametrize("epochs", [[], [-1], [1.5]])
def test_epochs_must_be_whole_numbers(epochs):
    with pytest.raises(ValueError, match="whole numbers of at least 0"):
        LatentCheckpoints(np.zeros((1, 4, 3)), np.zeros((1, 2)), epochs)


@pytest.mark.parametrize("last", [1, 2, 16, 50, 1000])
def test_epochs_are_spread_from_the_first_to_the_last(last):
    epochs = spread_epochs(last)
    assert epochs[0] == 0 and epochs[-1] == last and len(epochs) <= 30 and len(epochs) >= min(20, last + 1)
    assert (np.diff(epochs) > 0).all() and epochs[:2] == [0, 1]
    assert spread_epochs(last, 5)[0] == 0 and len(spread_epochs(last, 5)) <= 5
