"""Objectives: what is minimised, as losses with owners. Each loss names the variables that it moves."""

import copy
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
from keras import ops

from vaelib import checks
from vaelib.model.distributions import (
    Tensor,
    as_floats,
    closed_form_kl,
    kl_divergence,
    log_prob_diagonal,
    require_density,
    require_path,
)

if TYPE_CHECKING:
    from vaelib.model.vae import VAE


class Player(NamedTuple):
    """Who follows a loss: the variables it moves, and how many steps they take per batch.

    All players move together, from one forward pass. A player with more steps than one takes the others before that,
    alone and each with fresh noise.
    """

    variables: list
    steps: int = 1


class Objective(keras.layers.Layer):
    """What a VAE minimises.

    A subclass names what it reports and gives `losses`; and `players`, where not one loss moves everything.

    Attributes:
        names: what is reported for each epoch, "loss" first; each a key of what `losses` returns.
    """

    names: tuple[str, ...] = ("loss",)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    @property
    def metrics(self) -> list:
        """None: a network inside that was compiled by itself would report its own "loss" in the model's place."""
        return []

    def noise(self, vae: "VAE", num_examples: int) -> Any:
        """Draw all the noise that `losses` needs for so many examples: here one sample of the posterior for each."""
        return vae.posterior.noise((num_examples,))

    def losses(
        self, vae: "VAE", x: Tensor, y: Tensor = None, noise: Any = None, training: bool = False
    ) -> dict[str, Tensor]:
        """Return the losses of each example.

        Args:
            vae: the model.
            x: tensor of shape (batch, *data_shape).
            y: what encoder and decoder read beside x and z, or nothing.
            noise: what `noise` returns; drawn by default. Given noise makes the losses a function of the weights.
            training: whether layers such as Dropout behave as in training.

        Returns:
            A dictionary from names to nats, shape (batch,). It holds at least `names` and the losses of the players.
        """
        raise NotImplementedError

    def check_targets(self, y: Any, name: str = "y") -> None:
        """Raise ValueError where y, as `fit` is given it, cannot be used; most objectives hand it to the networks."""

    def players(self, vae: "VAE") -> dict[str, Player]:
        """Return who follows which loss; each has an optimiser of its own. Here "loss" moves everything."""
        return {"loss": Player(vae.trainable_variables)}


@keras.saving.register_keras_serializable(package="vaelib")
class ELBO(Objective):
    """The negative ELBO, reconstruction + beta * KL, with one sample of z per example and step.

    With beta = 1 it is the NELBO, minus E_q[log p(x|z)] - KL(q(z|x) || p(z)). The KL is in closed form where one is
    registered.
    Source: Kingma and Welling 2014, equation 7; beta from Higgins et al. 2017.

    Args:
        beta: weight of the KL; a variable, so that a callback can change it during training
            (`vae.objective.beta = 0.5`).

    Raises:
        ValueError: beta is negative or not finite.
    """

    names: tuple[str, ...] = ("loss", "reconstruction", "kl")

    def __init__(self, beta=1.0, **kwargs):
        super().__init__(**kwargs)
        # A Python float would be frozen when the graph is traced.
        self._beta = self.add_weight(name="beta", shape=(), initializer="ones", trainable=False)
        self.beta = beta

    @property
    def beta(self):
        """Weight of the KL, a variable; assigning a number changes it, in a compiled graph too."""
        return self._beta

    @beta.setter
    def beta(self, value):
        self._beta.assign(checks.nonnegative_float("beta", value))

    def losses(self, vae, x, y=None, noise=None, training=False):
        """Return loss, reconstruction and kl of each example, in nats."""
        outputs = vae(x, y, noise=noise, training=training)
        reconstruction = -vae.likelihood.log_prob(x, outputs["likelihood_params"])
        kl = kl_divergence(
            vae.posterior, outputs["posterior_params"], vae.prior, z=outputs["z"], log_q=outputs.get("log_q")
        )
        return {"loss": reconstruction + self.beta * kl, "reconstruction": reconstruction, "kl": kl}

    def players(self, vae):
        """Return one player; ValueError for a posterior that is not reparameterised, or whose KL cannot be known."""
        require_path(vae.posterior)
        if closed_form_kl(vae.posterior, vae.prior) is None:
            require_density(vae.posterior)
        return super().players(vae)

    def get_config(self):
        return {**super().get_config(), "beta": float(ops.convert_to_numpy(self.beta))}


@keras.saving.register_keras_serializable(package="vaelib")
class IWAE(Objective):
    """The negative importance-weighted bound L_k, which rises from the ELBO (k = 1) to log p(x).

    With w_i = p(x, z_i) / q(z_i|x), it is minus log((w_1 + ... + w_k) / k). `nelbo` is reported beside it, from the
    same draws.
    Source: Burda, Grosse and Salakhutdinov 2015, equation 8.

    Doubly reparameterised, the encoder follows another estimate of the same gradient, whose noise does not drown the
    signal as k grows. Its loss is a surrogate: its gradient means something, its value does not, and it is not
    reported.
    Source: Tucker et al. 2019, equation 8.

    Args:
        num_samples: k, samples of z per example.
        doubly_reparameterized: whether the encoder follows the doubly reparameterised gradient.

    Raises:
        ValueError: num_samples is not a positive whole number.
    """

    names = ("loss", "nelbo")

    def __init__(self, num_samples, doubly_reparameterized=False, **kwargs):
        super().__init__(**kwargs)
        self.num_samples = checks.positive_int("num_samples", num_samples)
        self.doubly_reparameterized = doubly_reparameterized

    def noise(self, vae, num_examples):
        """Draw the noise of k samples for each example."""
        return vae.posterior.noise((self.num_samples, num_examples))

    def losses(self, vae, x, y=None, noise=None, training=False):
        """Return loss and nelbo of each example, in nats, and where it is asked for the encoder's surrogate loss."""
        posterior, prior = vae.posterior, vae.prior
        require_density(posterior)
        q_params = vae.run_encoder(x, y, training)
        noise = self.noise(vae, ops.shape(x)[0]) if noise is None else noise
        z, log_q = posterior.sample_and_log_prob(q_params, noise)
        log_joint = vae.likelihood.log_prob(x, vae.run_decoder(z, y, training)) + prior.log_prob(z)
        log_w = log_joint - log_q
        losses = {
            "loss": math.log(self.num_samples) - ops.logsumexp(log_w, axis=0),
            "nelbo": -ops.mean(log_w, axis=0),
        }
        if self.doubly_reparameterized:
            share = ops.stop_gradient(ops.softmax(log_w, axis=0))
            # The density's own parameters are held: the encoder is reached through z alone.
            path = log_joint - posterior.log_prob(z, ops.stop_gradient(q_params))
            # A prior that shares the encoder (VampPrior) is due the plain weight, not its square.
            held = prior.log_prob(ops.stop_gradient(z))
            squared = ops.square(share)
            losses["encoder"] = -ops.sum(squared * path + (share - squared) * held, axis=0)
        return losses

    def players(self, vae):
        """Return one player, or two: the encoder follows the doubly reparameterised gradient."""
        require_path(vae.posterior)
        if not self.doubly_reparameterized:
            require_density(vae.posterior)
            return super().players(vae)
        if vae.posterior.trainable_variables:
            raise ValueError(
                f"{vae.posterior.name} has weights of its own, which the doubly reparameterised gradient does not "
                "reach: give it parameters from the encoder, or leave doubly_reparameterized out."
            )
        encoder = vae.encoder.trainable_variables
        return {"loss": Player(without(vae.trainable_variables, encoder)), "encoder": Player(encoder)}

    def get_config(self):
        config = {"num_samples": self.num_samples, "doubly_reparameterized": self.doubly_reparameterized}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="vaelib")
class AdversarialELBO(Objective):
    """The negative ELBO whose KL a critic estimates: for posteriors and priors that can be sampled and nothing else.

    The critic T(x, z) learns to tell codes of the posterior from codes of the prior, by logistic regression. At its
    best it is log q(z|x) - log p(z), whose mean under q is the KL. A critic that is not at its best gives no bound.
    Source: Mescheder, Nowozin and Geiger 2017, equations 3.3 and 3.7 and proposition 2.

    What a critic can measure ends at about the log of the number of its samples. With adaptive contrast it tells
    codes of the posterior from those of r, the diagonal normal with their mean and variance, and sees both as distances
    from that mean in standard deviations. The rest of the KL, E_q[log r(z) - log p(z)], needs no critic.
    Source: Mescheder, Nowozin and Geiger 2017, section 4.

    Args:
        critic: keras.Model of two inputs, x (batch, *data_shape) and z (batch, latent_dim), that gives one number per
            example, shape (batch, 1).
        critic_steps: updates of the critic per batch.
        beta: weight of the estimated KL.
        contrast: how many codes of each example give r its mean and variance, at least 2; None for no contrast.

    Raises:
        ValueError: the critic has not two inputs and one output, critic_steps or beta is not positive, or contrast is
            a number below 2.
    """

    names = ("loss", "reconstruction", "kl", "critic")

    def __init__(self, critic, critic_steps=1, beta=1.0, contrast=None, **kwargs):
        super().__init__(**kwargs)
        if len(critic.inputs) != 2 or tuple(critic.output_shape[1:]) != (1,):
            raise ValueError(
                "critic must have two inputs, x and z, and one number per example as output; "
                f"received {len(critic.inputs)} inputs and output shape {critic.output_shape}."
            )
        self.critic = critic
        self.critic_steps = checks.positive_int("critic_steps", critic_steps)
        self.beta = checks.positive_float("beta", beta)
        self.contrast = None if contrast is None else checks.positive_int("contrast", contrast)
        if self.contrast == 1:
            raise ValueError("contrast must be at least 2, since one code has no variance; received 1.")
        self.seed_generator = keras.random.SeedGenerator()

    def noise(self, vae, num_examples):
        """Draw the noise of one code of the posterior and one of the prior for each example; or those of r."""
        noise = {"posterior": vae.posterior.noise((num_examples,))}
        if self.contrast is None:
            return {**noise, "prior": vae.prior.noise((num_examples,))}
        shape = (num_examples, *vae.posterior.event_shape)
        moments = vae.posterior.noise((self.contrast, num_examples))
        return {**noise, "moments": moments, "r": keras.random.normal(shape, seed=self.seed_generator)}

    def losses(self, vae, x, y=None, noise=None, training=False):
        """Return loss, reconstruction, the estimated kl and the critic's loss of each example, in nats."""
        noise = self.noise(vae, ops.shape(x)[0]) if noise is None else noise
        q_params = vae.run_encoder(x, y, training)
        z = vae.posterior.sample(q_params, noise["posterior"])
        reconstruction = -vae.likelihood.log_prob(x, vae.run_decoder(z, y, training))
        if self.contrast is None:
            seen, other, known = z, vae.prior.sample(noise=noise["prior"]), 0.0
        else:
            # r is held: for the critic at its best, the two terms of the KL together do not depend on it.
            codes = ops.stop_gradient(vae.posterior.sample(q_params, noise["moments"]))
            mu, log_var = ops.mean(codes, axis=0), ops.log(ops.var(codes, axis=0) + keras.config.epsilon())
            seen, other = (z - mu) * ops.exp(-0.5 * log_var), as_floats(noise["r"])
            known = log_prob_diagonal(z, mu, log_var) - vae.prior.log_prob(z)
        kl = self._log_ratio(x, seen) + known
        from_other = self._log_ratio(x, ops.stop_gradient(other))
        critic = ops.softplus(-self._log_ratio(x, ops.stop_gradient(seen))) + ops.softplus(from_other)
        return {
            "loss": reconstruction + self.beta * kl,
            "reconstruction": reconstruction,
            "kl": kl,
            "critic": critic,
        }

    def players(self, vae):
        """Return two players: the critic follows its own loss, everything else the ELBO.

        Raises:
            ValueError: without contrast the prior has weights of its own, with it no density; the critic's inputs have
                other shapes than x and z, the encoder reads more than x, or the posterior is not reparameterised.
        """
        require_path(vae.posterior)
        if self.contrast is not None:
            require_density(vae.prior)
        elif vae.prior.trainable_variables:
            raise ValueError(
                f"{vae.prior.name} has weights of its own, which no loss of AdversarialELBO reaches: the critic sees "
                "samples of the prior alone. Take a prior without weights, for example StandardNormal, or give "
                "contrast."
            )
        seen = ("x", vae.encoder.inputs[0].shape[1:]), ("z", vae.posterior.event_shape)
        for (name, shape), given in zip(seen, self.critic.inputs, strict=True):
            if tuple(given.shape[1:]) != tuple(shape):
                raise ValueError(
                    f"the critic's input for {name} has shape {tuple(given.shape[1:])}, but {name} has "
                    f"{tuple(shape)}: they must be equal."
                )
        if len(vae.encoder.inputs) > 1:
            raise ValueError(
                f"the encoder has {len(vae.encoder.inputs)} inputs, but the critic reads x and z alone: where the "
                "posterior depends on y, it would not find its KL."
            )
        critic = self.critic.trainable_variables
        rest = without(vae.trainable_variables, critic)
        return {"loss": Player(rest), "critic": Player(critic, self.critic_steps)}

    def _log_ratio(self, x, z):
        return self.critic([x, z])[..., 0]

    def get_config(self):
        critic = keras.saving.serialize_keras_object(self.critic)
        settings = {"critic_steps": self.critic_steps, "beta": self.beta, "contrast": self.contrast}
        return {**super().get_config(), "critic": critic, **settings}

    @classmethod
    def from_config(cls, config):
        config = copy.deepcopy(config)  # Keras empties the dictionary of a network that it builds
        return cls(keras.saving.deserialize_keras_object(config.pop("critic")), **config)


def without(variables: list, others: list) -> list:
    """Return the variables that are none of the others, compared as objects."""
    taken = {id(variable) for variable in others}
    return [variable for variable in variables if id(variable) not in taken]
