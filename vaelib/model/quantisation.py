"""Code books: a posterior that is the nearest of K vectors, the uniform prior over them, and their objective."""

import math

import keras
import numpy as np
from keras import ops

from vaelib import checks
from vaelib.model.distributions import Distribution, as_floats, as_shape, register_kl
from vaelib.model.objectives import Objective, Player, without
from vaelib.model.priors import Prior


@keras.saving.register_keras_serializable(package="vaelib")
class CodeBook(Distribution):
    """The posterior of a vector-quantised VAE: a point mass on the vector of the code book nearest to what came.

    Its parameters are the encoder's numbers as they are, shape (batch, num_values). CodeBook((49, 4), 64) replaces each
    of 49 rows of 4 numbers by the nearest of 64 vectors. There are finitely many values, so log q is a log-probability:
    0 at the code chosen, minus infinity at any other.
    Source: van den Oord, Vinyals and Kavukcuoglu 2017, equations 1 and 2.

    Args:
        event_shape: shape of one value, the length of a code vector last.
        num_codes: K, how many vectors the code book holds.
        seed: seed of the code book at the start.

    Raises:
        ValueError: event_shape holds anything but positive whole numbers, or there are fewer than two codes.
    """

    support = "code"
    reparameterized = False

    def __init__(self, event_shape, num_codes, seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        self.num_codes = checks.positive_int("num_codes", num_codes)
        if self.num_codes < 2:
            raise ValueError("num_codes must be at least 2: one code says nothing; received 1.")
        self.codes = self.add_weight(
            name="codes",
            shape=(self.num_codes, self.code_length),
            initializer=keras.initializers.RandomNormal(stddev=1.0, seed=seed),
        )

    @property
    def code_length(self):
        """How many numbers a code vector holds: the last axis of event_shape."""
        return self.event_shape[-1]

    @property
    def codes_per_value(self):
        """How many codes make one value."""
        return self.num_values // self.code_length

    @property
    def params_size(self):
        """Numbers per example that the encoder must give: num_values."""
        return self.num_values

    def vectors(self, params):
        """Return the encoder's numbers as vectors, shape (..., codes_per_value, code_length)."""
        params = self.checked(params)
        return ops.reshape(params, (*ops.shape(params)[:-1], self.codes_per_value, self.code_length))

    def nearest(self, params):
        """Return the number of the nearest code for each vector, int32, shape (..., codes_per_value)."""
        vectors, codes = self.vectors(params), as_floats(self.codes)
        # The square of the vector itself is the same for all codes.
        distance = ops.sum(ops.square(codes), axis=-1) - 2 * ops.matmul(vectors, ops.transpose(codes))
        return ops.argmin(distance, axis=-1)

    def noise(self, num=()):
        """Return zeros of shape (*num, 1): nothing is random in the nearest code."""
        return ops.zeros((*as_shape(num), 1))

    def sample(self, params=None, noise=None, num=()):
        """Return the nearest code vectors, once for each draw, shape (*num, batch, *event_shape)."""
        chosen = self.nearest(params)
        codes = ops.take(as_floats(self.codes), chosen, axis=0)
        values = ops.reshape(codes, (*ops.shape(chosen)[:-1], *self.event_shape))
        lead = ops.shape(self.noise_for(params, noise, num))[:-1]
        return ops.broadcast_to(values, (*lead, *self.event_shape))

    def log_prob(self, value, params=None):
        """Return 0 where a value is the nearest codes of params, else minus infinity, shape (..., batch)."""
        apart = ops.abs(self.flat(value) - self.flat(self.sample(params)))
        return ops.where(ops.max(apart, axis=-1) < 1e-6, 0.0, -math.inf)

    def mean(self, params=None):
        """Return the nearest code vectors, shape (*batch, *event_shape)."""
        return self.sample(params)

    def counts(self, params):
        """Return how often each code is the nearest, a NumPy array of shape (num_codes,)."""
        return np.bincount(ops.convert_to_numpy(self.nearest(params)).ravel(), minlength=self.num_codes)

    def revive(self, params, seed=0):
        """Put each code that is never the nearest on one of the encoder's vectors, drawn at random.

        Args:
            params: what the encoder gave for some data, shape (n, params_size).
            seed: of the choice.

        Returns:
            How many codes were dead.
        """
        dead = np.flatnonzero(self.counts(params) == 0)
        vectors = ops.convert_to_numpy(self.vectors(params)).reshape(-1, self.code_length)
        codes = np.array(ops.convert_to_numpy(self.codes))
        rng = np.random.default_rng(seed)
        codes[dead] = vectors[rng.choice(len(vectors), len(dead), replace=len(dead) > len(vectors))]
        self.codes.assign(codes)
        return len(dead)

    def get_config(self):
        return {**super().get_config(), "num_codes": self.num_codes}


@keras.saving.register_keras_serializable(package="vaelib")
class UniformCodes(Prior):
    """The uniform prior over the code book of the posterior that stands in the same model.

    Args:
        event_shape: shape of one value, as that of the CodeBook.
        seed: seed of the noise that `sample` draws.
    """

    support = "code"
    reparameterized = False

    def __init__(self, event_shape, seed=None, **kwargs):
        super().__init__(event_shape, seed=seed, **kwargs)
        self._connected = None

    def connect(self, encoder, posterior):
        """Take the code book of the posterior; ValueError where it has none."""
        if not isinstance(posterior, CodeBook):
            raise ValueError(f"UniformCodes needs a CodeBook as posterior; received {type(posterior).__name__}.")
        self._connected = lambda: posterior  # behind a function: its weights are not this layer's

    @property
    def book(self):
        """The posterior whose code book this is uniform over; ValueError before a VAE has connected the two."""
        if self._connected is None:
            raise ValueError("UniformCodes has no code book yet: build the VAE with a CodeBook as posterior first.")
        return self._connected()

    def noise(self, num=()):
        """Draw the numbers of codes, shape (*num, codes_per_value)."""
        shape = (*as_shape(num), self.book.codes_per_value)
        return keras.random.randint(shape, 0, self.book.num_codes, seed=self.seed_generator)

    def sample(self, params=None, noise=None, num=()):
        """Draw code vectors, shape (*num, *event_shape)."""
        chosen = self.noise_for(params, noise, num)
        codes = ops.take(as_floats(self.book.codes), chosen, axis=0)
        return ops.reshape(codes, (*ops.shape(chosen)[:-1], *self.event_shape))

    def log_prob(self, value, params=None):
        """Return minus the log of the number of values, -codes_per_value log K, shape (...)."""
        return ops.zeros_like(self.flat(value)[..., 0]) - self.book.codes_per_value * math.log(self.book.num_codes)

    def mean(self, params=None):
        """Return the mean of the code book, shape event_shape."""
        return ops.broadcast_to(ops.mean(as_floats(self.book.codes), axis=0), self.event_shape)


@register_kl(CodeBook, UniformCodes)
def kl_code_book(q, q_params, p, p_params=None):
    """Return KL(q || p), log K for each code whatever was encoded, nats, shape (batch,)."""
    return ops.zeros_like(q.checked(q_params)[..., 0]) + q.codes_per_value * math.log(q.num_codes)


@keras.saving.register_keras_serializable(package="vaelib")
class VectorQuantised(Objective):
    """What a vector-quantised VAE minimises: three losses, each with its owner.

    The decoder follows the loss, the negative ELBO at the chosen codes. The encoder follows the same slope, handed
    straight through the choice, and the commitment: its squared distance from the code chosen, held. The code book
    follows the squared distance from the encoder's vectors, held. One optimiser would need the stop-gradients of the
    paper; owners say the same.
    Source: van den Oord, Vinyals and Kavukcuoglu 2017, equation 3.

    Args:
        commitment: beta, what the commitment counts in the encoder's loss.

    Raises:
        ValueError: commitment is not a finite number of at least 0.
    """

    names = ("loss", "reconstruction", "kl", "distance")

    def __init__(self, commitment=0.25, **kwargs):
        super().__init__(**kwargs)
        self.commitment = checks.nonnegative_float("commitment", commitment)

    def losses(self, vae, x, y=None, noise=None, training=False):
        """Return loss, reconstruction, kl and the squared distance of each example, and the surrogates of the owners.

        The distance is summed over the numbers of a value; the first three are in nats.
        """
        book = vae.posterior
        params = vae.run_encoder(x, y, training)
        chosen = book.flat(book.sample(params))
        through = params + ops.stop_gradient(chosen - params)  # the chosen code, with the slope of the encoder
        reconstruction = -vae.likelihood.log_prob(x, vae.run_decoder(book.shaped(through), y, training))
        kl = kl_code_book(book, params, vae.prior)
        committed = ops.sum(ops.square(params - ops.stop_gradient(chosen)), axis=-1)
        return {
            "loss": reconstruction + kl,
            "reconstruction": reconstruction,
            "kl": kl,
            "distance": committed,
            "encoder": reconstruction + self.commitment * committed,
            "codes": ops.sum(ops.square(chosen - ops.stop_gradient(params)), axis=-1),
        }

    def players(self, vae):
        """Return three players: "loss" moves the decoder and what else there is, "encoder" and "codes" their own.

        Raises:
            ValueError: the posterior is no CodeBook, or the prior not uniform over it.
        """
        if not isinstance(vae.posterior, CodeBook) or not isinstance(vae.prior, UniformCodes):
            raise ValueError(
                "VectorQuantised needs a CodeBook as posterior and UniformCodes as prior; received "
                f"{type(vae.posterior).__name__} and {type(vae.prior).__name__}."
            )
        encoder, codes = vae.encoder.trainable_variables, vae.posterior.trainable_variables
        rest = without(vae.trainable_variables, [*encoder, *codes])
        return {"loss": Player(rest), "encoder": Player(encoder), "codes": Player(codes)}

    def get_config(self):
        return {**super().get_config(), "commitment": self.commitment}
