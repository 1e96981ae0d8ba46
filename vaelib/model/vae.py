"""The model: an encoder, a decoder, and the three distributions that give their outputs a meaning."""

import copy
import math

import keras
import numpy as np
from keras import ops

# The parts are imported so that a saved model finds the classes it names.
from vaelib import checks
from vaelib.model import evaluation, likelihoods, posteriors, priors  # noqa: F401
from vaelib.training.steps import CompiledEpochs

PARTS = ("encoder", "decoder", "posterior", "likelihood", "prior")


@keras.saving.register_keras_serializable(package="vaelib")
class VAE(CompiledEpochs, keras.Model):
    """A variational autoencoder by composition: loss = reconstruction + beta * KL, in nats per example.

    With beta = 1 the loss is the NELBO, the negative of E_q[log p(x|z)] - KL(q(z|x) || p(z)), with one sample of z
    per example and step. Source: Kingma and Welling 2014, equation 7; beta from Higgins et al. 2017.

    Args:
        encoder: keras.Model from (batch, *data_shape) to (batch, posterior.params_size).
        decoder: keras.Model from (batch, latent_dim) to (batch, likelihood.params_size).
        posterior: what the encoder's output means, for example DiagonalNormal(2).
        likelihood: what the decoder's output means, for example Bernoulli((28, 28)).
        prior: where codes come from, for example StandardNormal(2).
        beta: weight of the KL in the loss; a weight of the model, so that a callback can change it during training
            (`vae.beta = 0.5`).

    Raises:
        ValueError: two parts do not fit together (the sentence names both), or beta is negative or not finite.
    """

    def __init__(self, encoder, decoder, posterior, likelihood, prior, beta=1.0, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.posterior, self.likelihood, self.prior = posterior, likelihood, prior
        self._check_parts()
        self.prior.connect(encoder, posterior)
        # A Python float would be frozen when the graph is traced.
        self._beta = self.add_weight(name="beta", shape=(), initializer="ones", trainable=False)
        self.beta = beta
        self.reconstruction_tracker = keras.metrics.Mean(name="reconstruction")
        self.kl_tracker = keras.metrics.Mean(name="kl")
        self.built = True

    def _check_parts(self):
        latent_dim, data_shape = self.posterior.latent_dim, self.likelihood.data_shape
        for wrong, what, received, expected, source in [
            (
                self.encoder.output_shape[-1] != self.posterior.params_size,
                "encoder's output size",
                self.encoder.output_shape[-1],
                self.posterior.params_size,
                "posterior.params_size",
            ),
            (
                tuple(self.encoder.input_shape[1:]) != data_shape,
                "encoder's input shape",
                tuple(self.encoder.input_shape[1:]),
                data_shape,
                "likelihood.data_shape",
            ),
            (
                self.decoder.input_shape[-1] != latent_dim,
                "decoder's input size",
                self.decoder.input_shape[-1],
                latent_dim,
                "posterior.latent_dim",
            ),
            (
                self.decoder.output_shape[-1] != self.likelihood.params_size,
                "decoder's output size",
                self.decoder.output_shape[-1],
                self.likelihood.params_size,
                "likelihood.params_size",
            ),
            (
                self.prior.latent_dim != latent_dim,
                "prior's latent_dim",
                self.prior.latent_dim,
                latent_dim,
                "posterior.latent_dim",
            ),
        ]:
            if wrong:
                raise ValueError(f"the {what} is {received}, but {source} is {expected}: they must be equal.")

    @property
    def beta(self):
        """Weight of the KL in the loss, a variable; assigning a number changes it, in a compiled graph too."""
        return self._beta

    @beta.setter
    def beta(self, value):
        value = float(value)
        if not 0 <= value < math.inf:
            raise ValueError(f"beta must be a finite number of at least 0; received {value!r}.")
        self._beta.assign(value)

    @property
    def latent_dim(self):
        """Number of latent dimensions."""
        return self.posterior.latent_dim

    @property
    def data_shape(self):
        """Shape of one example."""
        return self.likelihood.data_shape

    def call(self, x, eps=None, training=None):
        """Encode, sample, decode.

        Args:
            x: tensor of shape (batch, *data_shape).
            eps: the noise, shape (batch, latent_dim); drawn by the posterior by default.
            training: whether layers such as Dropout behave as in training.

        Returns:
            A dictionary: posterior_params (batch, posterior.params_size), z (batch, latent_dim) and
            likelihood_params (batch, likelihood.params_size).
        """
        posterior_params = self.encoder(x, training=training)
        z = self.posterior.sample(posterior_params, eps)
        return {"posterior_params": posterior_params, "z": z, "likelihood_params": self.decoder(z, training=training)}

    def loss_terms(self, x, outputs):
        """Return the two terms of the NELBO, reconstruction and KL: nats, one value per example, shape (batch,).

        Args:
            x: tensor of shape (batch, *data_shape).
            outputs: what `call` made of x.
        """
        reconstruction = -self.likelihood.log_prob(x, outputs["likelihood_params"])
        kl = self.prior.kl(self.posterior, outputs["posterior_params"], outputs["z"])
        return reconstruction, kl

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss, a scalar: the batch mean of reconstruction + beta * KL, plus the layers' own losses.

        Keras calls this in training and in evaluation.
        """
        reconstruction, kl = self.loss_terms(x, y_pred)
        self.reconstruction_tracker.update_state(reconstruction, sample_weight)
        self.kl_tracker.update_state(kl, sample_weight)
        nelbo = reconstruction + self.beta * kl
        if sample_weight is not None:
            nelbo = nelbo * ops.reshape(ops.cast(sample_weight, nelbo.dtype), ops.shape(nelbo))
        return ops.mean(nelbo) + sum(self.losses)

    def encode(self, x):
        """Return the posterior means of x.

        Args:
            x: array of shape (n, *data_shape).

        Returns:
            Codes, a NumPy array of shape (n, latent_dim).
        """
        return ops.convert_to_numpy(self.posterior.mean(self.posterior_params(x)))

    def posterior_params(self, x):
        """Return the parameters of q(z|x), a NumPy array of shape (n, posterior.params_size)."""
        return evaluation.in_batches(self.encoder, self.likelihood.check(x))

    def decode(self, z):
        """Return the means of p(x|z): images without pixel noise.

        Args:
            z: codes, array of shape (n, latent_dim).

        Returns:
            NumPy array of shape (n, *data_shape).
        """
        z = checks.batch("z", z, (self.latent_dim,)).astype("float32", copy=False)
        return evaluation.in_batches(lambda codes: self.likelihood.mean(self.decoder(codes)), z)

    def reconstruct(self, x):
        """Encode x by the posterior mean and decode it, a NumPy array of the shape of x."""
        return self.decode(self.encode(x))

    def generate(self, n):
        """Draw n codes from the prior and decode them, a NumPy array of shape (n, *data_shape)."""
        return self.decode(np.asarray(self.prior.sample(checks.positive_int("n", n))))

    def elbo(self, x, num_samples=1):
        """Return the ELBO of each example, a NumPy array of shape (n,), nats; see `vaelib.model.evaluation.elbo`."""
        return evaluation.elbo(self, x, num_samples)

    def log_evidence(self, x, num_samples=5000):
        """Estimate log p(x) of each example, a NumPy array of shape (n,), nats; see `vaelib.model.evaluation`."""
        return evaluation.log_evidence(self, x, num_samples)

    def get_config(self):
        parts = {part: keras.saving.serialize_keras_object(getattr(self, part)) for part in PARTS}
        return {**super().get_config(), **parts, "beta": float(ops.convert_to_numpy(self.beta))}

    @classmethod
    def from_config(cls, config):
        config = copy.deepcopy(config)  # Keras empties the dictionary of a network that it builds
        parts = {part: keras.saving.deserialize_keras_object(config.pop(part)) for part in PARTS}
        return cls(**parts, **config)


def load(path):
    """Load a VAE saved by `vae.save("name.keras")`, also in a process that has imported nothing else of vaelib.

    Args:
        path: the `.keras` file.

    Returns:
        The model, with its weights and its optimiser.
    """
    return keras.saving.load_model(path)
