"""Objectives for latents without a reparameterisation: score functions, and paths through relaxed or hard draws.

The decoder and the prior follow the loss of the draws. The encoder follows an estimate of its gradient, and where that
is a surrogate its gradient means something and its value does not: it is not reported.
"""

import math

import keras
from keras import ops

from vaelib import checks
from vaelib.model.distributions import closed_form_kl, kl_divergence, require_density
from vaelib.model.objectives import Objective, Player, without

BASELINES = (None, "batch", "leave-one-out")


class _OfHeldDraws(Objective):
    """What objectives share whose draws are held, so that two players are needed."""

    def players(self, vae):
        """Return two players: encoder and posterior follow the surrogate, everything else the loss of the draws."""
        require_density(vae.posterior)
        ours = [*vae.encoder.trainable_variables, *vae.posterior.trainable_variables]
        return {"loss": Player(without(vae.trainable_variables, ours)), "encoder": Player(ours)}

    def draws(self, vae, x, y, noise, training):
        """Return parameters, k held draws of z, log q(z|x), and log p(x|z), the last two of shape (k, batch)."""
        require_density(vae.posterior)
        q_params = vae.run_encoder(x, y, training)
        noise = self.noise(vae, ops.shape(x)[0]) if noise is None else noise
        z = ops.stop_gradient(vae.posterior.sample(q_params, noise))
        log_likelihood = vae.likelihood.log_prob(x, vae.run_decoder(z, y, training))
        return q_params, z, vae.posterior.log_prob(z, q_params), log_likelihood


@keras.saving.register_keras_serializable(package="vaelib")
class ScoreFunction(_OfHeldDraws):
    """The negative ELBO, whose encoder follows (signal - baseline) times the gradient of log q(z|x).

    It asks of the posterior no more than a density: for zeros and ones, for classes, for anything. The signal is what
    one draw costs; the KL stays out of it where it has a closed form.
    Source: Williams 1992; Mnih and Gregor 2014; Kool et al. 2019 for leave-one-out.

    Args:
        num_samples: draws of z per example.
        baseline: what is taken from the signal, and leaves the mean of the estimate as it is: nothing; a number;
            "batch", the mean signal of the other examples; or "leave-one-out", that of the other draws of the example.

    Raises:
        ValueError: num_samples is no positive whole number, the baseline none of these, or leave-one-out has one draw.
    """

    names = ("loss", "reconstruction", "kl")

    def __init__(self, num_samples=1, baseline=None, **kwargs):
        super().__init__(**kwargs)
        self.num_samples = checks.positive_int("num_samples", num_samples)
        if baseline not in BASELINES:
            try:
                baseline = checks.finite_float("baseline", baseline)
            except ValueError as error:
                raise ValueError(
                    f'baseline must be None, a number, "batch" or "leave-one-out"; received {baseline!r}.'
                ) from error
        if baseline == "leave-one-out" and self.num_samples < 2:
            raise ValueError("num_samples must be at least 2 for leave-one-out: one draw has no others; received 1.")
        self.baseline = baseline

    def noise(self, vae, num_examples):
        """Draw the noise of k samples for each example."""
        return vae.posterior.noise((self.num_samples, num_examples))

    def losses(self, vae, x, y=None, noise=None, training=False):
        """Return loss, reconstruction and kl of each example, in nats, and the encoder's surrogate loss."""
        q_params, z, log_q, log_likelihood = self.draws(vae, x, y, noise, training)
        kl = kl_divergence(vae.posterior, q_params, vae.prior, z=z, log_q=log_q)
        if closed_form_kl(vae.posterior, vae.prior) is None:
            # Of the gradient of log q - log p at held draws only that of p counts: of log q it has the mean zero.
            signal, direct = kl - log_likelihood, -vae.prior.log_prob(z)
        else:
            signal, direct = -log_likelihood, kl
        signal = ops.stop_gradient(signal)
        terms = {
            "reconstruction": -ops.mean(log_likelihood, axis=0),
            "kl": kl if len(kl.shape) == 1 else ops.mean(kl, axis=0),
        }
        surrogate = (signal - self._baseline_of(signal)) * log_q + direct
        return {**terms, "loss": terms["reconstruction"] + terms["kl"], "encoder": ops.mean(surrogate, axis=0)}

    def _baseline_of(self, signal):
        if self.baseline == "leave-one-out":
            return (ops.sum(signal, axis=0) - signal) / (self.num_samples - 1)
        if self.baseline == "batch":
            own = ops.sum(signal, axis=0)
            others = ops.cast(ops.maximum(ops.shape(signal)[1] - 1, 1), signal.dtype)
            return (ops.sum(own) - own) / (self.num_samples * others)
        return self.baseline or 0.0

    def get_config(self):
        return {**super().get_config(), "num_samples": self.num_samples, "baseline": self.baseline}


@keras.saving.register_keras_serializable(package="vaelib")
class VIMCO(_OfHeldDraws):
    """The importance-weighted bound of k draws, whose encoder follows a score function with a baseline for each draw.

    The baseline is the bound with the draw's log-weight replaced by the mean of the others'.
    Source: Mnih and Rezende 2016, equations 8 to 10.

    Args:
        num_samples: k, draws of z per example, at least 2.

    Raises:
        ValueError: num_samples is not a whole number of at least 2.
    """

    names = ("loss", "nelbo")

    def __init__(self, num_samples=5, **kwargs):
        super().__init__(**kwargs)
        self.num_samples = checks.positive_int("num_samples", num_samples)
        if self.num_samples < 2:
            raise ValueError("num_samples must be at least 2: a draw's baseline is made of the others; received 1.")

    def noise(self, vae, num_examples):
        """Draw the noise of k samples for each example."""
        return vae.posterior.noise((self.num_samples, num_examples))

    def losses(self, vae, x, y=None, noise=None, training=False):
        """Return loss and nelbo of each example, in nats, and the encoder's surrogate loss."""
        k = self.num_samples
        _, z, log_q, log_likelihood = self.draws(vae, x, y, noise, training)
        log_prior = vae.prior.log_prob(z)
        log_w = log_likelihood + log_prior - log_q
        bound = ops.logsumexp(log_w, axis=0) - math.log(k)
        held = ops.stop_gradient(log_w)
        others = (ops.sum(held, axis=0) - held) / (k - 1)
        # Row j: the log-weights with that of draw j replaced, shape (k, k, batch).
        own = ops.eye(k, dtype=held.dtype)[:, :, None]
        without_own = ops.logsumexp(own * others[:, None] + (1 - own) * held[None], axis=1) - math.log(k)
        signal = ops.stop_gradient(bound) - without_own
        share = ops.softmax(held, axis=0)
        surrogate = share * (log_q - log_prior) - signal * log_q
        return {"loss": -bound, "nelbo": -ops.mean(log_w, axis=0), "encoder": ops.sum(surrogate, axis=0)}

    def get_config(self):
        return {**super().get_config(), "num_samples": self.num_samples}


class _ThroughDraws(Objective):
    """What objectives share whose gradient goes through a stand-in for the draw."""

    names = ("loss", "reconstruction", "kl")

    def players(self, vae):
        """Return one player, "loss".

        Raises:
            ValueError: the posterior has no relaxed draws, or its KL to the prior has no closed form.
        """
        q, p = vae.posterior, vae.prior
        if not hasattr(q, "relaxed"):
            raise ValueError(
                f"{type(self).__name__} needs a posterior with relaxed draws, Bernoulli or Categorical; received "
                f"{type(q).__name__}. Train it with ELBO() where it is reparameterised, else with ScoreFunction()."
            )
        if closed_form_kl(q, p) is None:
            raise ValueError(
                f"{type(self).__name__} needs the closed-form KL of {type(q).__name__} to the prior; none is known to "
                f"{type(p).__name__}. Take BernoulliPrior or CategoricalPrior, or train with ScoreFunction()."
            )
        return super().players(vae)

    def draw(self, posterior, q_params, noise):
        """Return what the decoder gets for z, and what the gradient goes through."""
        raise NotImplementedError

    def losses(self, vae, x, y=None, noise=None, training=False):
        """Return loss, reconstruction and kl of each example; the KL is that of the discrete distributions."""
        q_params = vae.run_encoder(x, y, training)
        noise = self.noise(vae, ops.shape(x)[0]) if noise is None else noise
        z = self.draw(vae.posterior, q_params, noise)
        reconstruction = -vae.likelihood.log_prob(x, vae.run_decoder(z, y, training))
        kl = kl_divergence(vae.posterior, q_params, vae.prior)
        return {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}


@keras.saving.register_keras_serializable(package="vaelib")
class GumbelSoftmax(_ThroughDraws):
    """The ELBO's terms at relaxed draws: differentiable, biased, and no bound on anything.

    The decoder sees points between the classes, so the loss reported is not that of the model. `vae.elbo` and
    `vae.log_evidence` draw hard and say what the model is worth.
    Source: Jang et al. 2017; Maddison et al. 2017.

    Args:
        temperature: of the softmax; a variable, so that a callback can lower it (`vae.objective.temperature = 0.5`).

    Raises:
        ValueError: temperature is not a finite number above 0.
    """

    def __init__(self, temperature=1.0, **kwargs):
        super().__init__(**kwargs)
        # A Python float would be frozen when the graph is traced.
        self._temperature = self.add_weight(name="temperature", shape=(), initializer="ones", trainable=False)
        self.temperature = temperature

    @property
    def temperature(self):
        """The softmax's temperature, a variable; assigning a number changes it, in a compiled graph too."""
        return self._temperature

    @temperature.setter
    def temperature(self, value):
        self._temperature.assign(checks.positive_float("temperature", value))

    def draw(self, posterior, q_params, noise):
        """Return a relaxed draw."""
        return posterior.relaxed(q_params, noise, self.temperature)

    def get_config(self):
        return {**super().get_config(), "temperature": float(ops.convert_to_numpy(self.temperature))}


@keras.saving.register_keras_serializable(package="vaelib")
class StraightThrough(_ThroughDraws):
    """The ELBO of hard draws, whose encoder follows the decoder's slope as if the draw were its mean: biased.

    Source: Bengio et al. 2013; Jang et al. 2017, section 2.2, for the relaxed draw in place of the mean.

    Args:
        temperature: None, and the gradient goes through the mean; or a number above 0, and it goes through the relaxed
            draw of that temperature.

    Raises:
        ValueError: temperature is neither None nor a finite number above 0.
    """

    def __init__(self, temperature=None, **kwargs):
        super().__init__(**kwargs)
        self.temperature = None if temperature is None else checks.positive_float("temperature", temperature)

    def players(self, vae):
        """Return two players, as the loss is that of hard draws and the encoder's slope not its own."""
        super().players(vae)
        ours = vae.encoder.trainable_variables
        return {"loss": Player(without(vae.trainable_variables, ours)), "encoder": Player(ours)}

    def draw(self, posterior, q_params, noise):
        """Return a hard draw, with the gradient of its mean or of its relaxation."""
        if self.temperature is None:
            soft = posterior.mean(q_params)
        else:
            soft = posterior.relaxed(q_params, noise, self.temperature)
        return soft + ops.stop_gradient(posterior.sample(q_params, noise) - soft)

    def losses(self, vae, x, y=None, noise=None, training=False):
        """Return loss, reconstruction and kl of each example, and the same loss again for the encoder to follow."""
        terms = super().losses(vae, x, y, noise, training)
        return {**terms, "encoder": terms["loss"]}

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}
