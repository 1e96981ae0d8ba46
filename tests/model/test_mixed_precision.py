"""Networks that compute in 16 bits: what is summed over pixels and codes stays in 32, and training ends the same."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

import vaelib

POLICIES = ("mixed_bfloat16", "mixed_float16")


@pytest.fixture(autouse=True)
def full_precision_afterwards():
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="module")
def images():
    return (load_digits().images / 16).astype("float32")


def trained(policy, images, epochs=12, network="dense", prior=None):
    keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(3)
    shape, q, p = images.shape[1:], vaelib.DiagonalNormal(2, seed=3), vaelib.Bernoulli(images.shape[1:])
    if network == "dense":
        encoder, decoder = vaelib.dense_encoder(shape, 4, (32,)), vaelib.dense_decoder(2, p.params_size, (32,))
    else:
        encoder, decoder = vaelib.conv_encoder(shape, 4, (8,)), vaelib.conv_decoder(2, shape, p.params_size, (8,))
    vae = vaelib.VAE(encoder, decoder, posterior=q, likelihood=p, prior=prior or vaelib.StandardNormal(2))
    vae.compile(keras.optimizers.Adam(5e-3))
    vae.fit(images, epochs=epochs, batch_size=50, verbose=0)
    return vae


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("network", ["dense", "conv"])
def test_what_leaves_a_network_is_in_32_bits(policy, network, images):
    vae = trained(policy, images[:100], epochs=1, network=network)
    assert vae.encoder.compute_dtype == policy.removeprefix("mixed_")
    outputs = vae(images[:5])
    assert {keras.backend.standardize_dtype(value.dtype) for value in outputs.values()} == {"float32"}
    assert all(keras.backend.standardize_dtype(weight.dtype) == "float32" for weight in vae.trainable_variables)


def test_pseudo_inputs_of_the_prior_are_encoded_in_16_bits_too(images):
    vae = trained("mixed_bfloat16", images[:100], epochs=1, prior=vaelib.VampPrior(2, num_components=10))
    assert keras.backend.standardize_dtype(vae.prior.components()[1].dtype) == "float32"


@pytest.mark.parametrize("policy", POLICIES)
def test_training_ends_within_three_tenths_of_a_nat(policy, images):
    bound = {}
    for name in ("float32", policy):
        vae = trained(name, images[:1400])
        noise = np.random.default_rng(0).normal(size=(20, 397, 2)).astype("float32")
        outputs = vae(images[1400:], noise=noise)
        log_p = np.asarray(vae.likelihood.log_prob(images[1400:], outputs["likelihood_params"]))
        kl = np.asarray(vaelib.kl_divergence(vae.posterior, outputs["posterior_params"], vae.prior))
        bound[name] = float(np.mean(log_p) - np.mean(kl))
    assert bound["float32"] > -30 and abs(bound[policy] - bound["float32"]) < 0.3
