"""The model: an encoder, a decoder, the three distributions that give their outputs a meaning, and an objective."""

import copy
import os
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

# The parts are imported so that a saved model finds the classes it names.
from vaelib import checks
from vaelib.model import (  # noqa: F401
    discrete,
    evaluation,
    flows,
    hierarchy,
    labels,
    likelihoods,
    posteriors,
    priors,
    quantisation,
    score_function,
    transformed,
)
from vaelib.model.distributions import Distribution, Tensor, closed_form_kl, in_full
from vaelib.model.objectives import ELBO, Objective, Player
from vaelib.training.steps import BlockTraining

PARTS = ("encoder", "decoder", "posterior", "likelihood", "prior", "objective")


@keras.saving.register_keras_serializable(package="vaelib")
class VAE(BlockTraining, keras.Model):
    """A variational autoencoder by composition: five parts and what they are trained for.

    Source: Kingma and Welling 2014.

    Args:
        encoder: keras.Model from (batch, *data_shape) to (batch, posterior.params_size). One of several inputs gets x
            and, behind it, what `fit(x, y)` was given as y.
        decoder: keras.Model from (batch, latent_dim) to (batch, likelihood.params_size). One of several inputs gets z
            and then y.
        posterior: what the encoder's output means, for example DiagonalNormal(2).
        likelihood: what the decoder's output means, for example Bernoulli((28, 28)).
        prior: where codes come from, for example StandardNormal(2).
        objective: what is minimised; ELBO() by default, the NELBO in nats per example.
        binarise: whether each pixel of x is replaced by a draw of 0 or 1 with the grey value as its probability, new
            in each step; every term of the loss sees the same draw.

    Raises:
        ValueError: two parts do not fit together (the sentence names both).
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        posterior: Distribution,
        likelihood: Distribution,
        prior: Distribution,
        objective: Objective | None = None,
        binarise: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.posterior, self.likelihood, self.prior = posterior, likelihood, prior
        self.objective = ELBO() if objective is None else objective
        self.binarise = binarise
        self.seed_generator = keras.random.SeedGenerator(likelihood.seed)  # of the binarisation
        self._check_parts()
        self.prior.connect(encoder, posterior)
        self.players()  # a loss without an owner is named now and not in the first step
        # Keras keeps the mean of the loss itself.
        self._trackers = [keras.metrics.Mean(name=name) for name in self.objective.names if name != "loss"]
        self.built = True

    def _check_parts(self):
        latent_shape, params = self.posterior.event_shape, "params_size"
        for received, what, expected, source in [
            (_output_size(self.encoder), "encoder's output size", self.posterior.params_size, f"posterior.{params}"),
            (_input_shape(self.encoder), "encoder's input shape", self.data_shape, "likelihood.event_shape"),
            (_input_shape(self.decoder), "decoder's input shape", latent_shape, "posterior.event_shape"),
            (_output_size(self.decoder), "decoder's output size", self.likelihood.params_size, f"likelihood.{params}"),
            (self.prior.event_shape, "prior's event_shape", latent_shape, "posterior.event_shape"),
            (self.prior.params_size, "prior's params_size", 0, "what no network gives"),
        ]:
            if received != expected:
                raise ValueError(f"the {what} is {received}, but {source} is {expected}: they must be equal.")
        if self.prior.support != self.posterior.support:
            raise ValueError(
                f'the prior, {type(self.prior).__name__}, has the support "{self.prior.support}", but codes of '
                f'{type(self.posterior).__name__} have the support "{self.posterior.support}": they must be equal.'
            )
        if self.binarise and self.likelihood.support != "binary":
            raise ValueError(
                f"binarise needs a likelihood of pixels that are 0 or 1; {type(self.likelihood).__name__} has the "
                f'support "{self.likelihood.support}".'
            )

    @property
    def latent_dim(self) -> int:
        """Number of latent dimensions."""
        return self.posterior.num_values

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.likelihood.event_shape

    # The way through the model ---------------------------------------------------------------------------------------

    def call(self, x: Tensor, y: Tensor = None, noise: Any = None, training: bool | None = None) -> dict[str, Tensor]:
        """Encode, sample, decode.

        Args:
            x: tensor of shape (batch, *data_shape).
            y: what encoder and decoder read beside x and z, or nothing.
            noise: the posterior's noise, with leading axes (batch,) or (num, batch); drawn by default.
            training: whether layers such as Dropout behave as in training.

        Returns:
            A dictionary: posterior_params (batch, posterior.params_size), z (batch, latent_dim) and likelihood_params
            (batch, likelihood.params_size); and log_q, log q(z|x) in nats, shape (batch,), where the KL has no closed
            form and the posterior has a density.
        """
        params = self.run_encoder(x, y, training)
        outputs = {"posterior_params": params}
        if closed_form_kl(self.posterior, self.prior) is None and self.posterior.has_density:
            outputs["z"], outputs["log_q"] = self.posterior.sample_and_log_prob(params, noise)
        else:
            outputs["z"] = self.posterior.sample(params, noise)
        return {**outputs, "likelihood_params": self.run_decoder(outputs["z"], y, training)}

    def run_encoder(self, x: Tensor, y: Tensor = None, training: bool | None = None) -> Tensor:
        """Return what the encoder makes of x (and y), a tensor of shape (batch, posterior.params_size)."""
        return _run(self.encoder, "encoder", x, y, training)

    def run_decoder(self, z: Tensor, y: Tensor = None, training: bool | None = None) -> Tensor:
        """Return what the decoder makes of z (and y).

        Args:
            z: codes, tensor of shape (batch, *event_shape) or (num, batch, *event_shape).
            y: what the decoder reads beside z, with a leading axis (batch,).
            training: whether layers such as Dropout behave as in training.

        Returns:
            Tensor of shape (batch, likelihood.params_size) or (num, batch, likelihood.params_size).
        """
        rank = len(self.posterior.event_shape)
        if len(z.shape) == rank + 1:
            return _run(self.decoder, "decoder", z, y, training)
        lead = ops.shape(z)[:-rank]
        if y is not None:
            y = keras.tree.map_structure(lambda part: _repeated(part, lead), y)
        params = _run(self.decoder, "decoder", _rows(z, rank), y, training)
        return ops.reshape(params, (*lead, self.likelihood.params_size))

    def binarised(self, x: Tensor) -> Tensor:
        """Return x, or where the model binarises a fresh draw of 0 or 1 for each grey pixel, a tensor like x."""
        if not self.binarise:
            return x
        return ops.cast(keras.random.uniform(ops.shape(x), seed=self.seed_generator) < x, x.dtype)

    # The loss --------------------------------------------------------------------------------------------------------

    def loss_terms(self, x: Tensor, y: Tensor = None, noise: Any = None, training: bool = False) -> dict[str, Tensor]:
        """Return what the objective makes of x: a dictionary from names to nats, one value per example, shape (batch,).

        Args:
            x: tensor of shape (batch, *data_shape).
            y: what encoder and decoder read beside x and z, or nothing.
            noise: the objective's noise, for ELBO eps of shape (batch, latent_dim); drawn by default.
            training: whether layers such as Dropout behave as in training.
        """
        if isinstance(x, np.ndarray):  # of a tensor the numbers may be unknown, and fit has checked them
            x = self.check_data(x)
        x = self.binarised(ops.convert_to_tensor(x))
        y = None if y is None else keras.tree.map_structure(ops.convert_to_tensor, y)
        return self.objective.losses(self, x, y, noise=noise, training=training)

    def players(self) -> dict[str, Player]:
        """Return who follows which loss.

        Raises:
            ValueError: a variable has no owner or two.
        """
        players = self.objective.players(self)
        owned = [id(variable) for player in players.values() for variable in player.variables]
        if len(set(owned)) != len(owned) or set(owned) != {id(variable) for variable in self.trainable_variables}:
            raise ValueError(
                f"each trainable variable must belong to one player of {type(self.objective).__name__}; "
                f"{len(self.trainable_variables)} variables stand against {len(owned)} owned by {list(players)}."
            )
        return players

    def batch_losses(
        self, x: Tensor, y: Tensor = None, sample_weight: Tensor = None, training: bool = True, track: bool = True
    ) -> dict[str, Tensor]:
        """Return the losses of a batch: means over the examples, plus the layers' own losses.

        Args:
            x: tensor of shape (batch, *data_shape).
            y: what encoder and decoder read beside x and z, or nothing.
            sample_weight: one weight per example, shape (batch,) or (batch, 1); all one by default.
            training: whether layers such as Dropout behave as in training.
            track: whether the running means that `fit` reports take these values in.

        Returns:
            A dictionary from "loss" and the players' names to scalars, in nats.
        """
        terms = self.loss_terms(x, y, training=training)
        if track:
            for tracker in self._trackers:
                tracker.update_state(terms[tracker.name], sample_weight)
        return self._reduced(terms, sample_weight)

    def _reduced(self, terms, sample_weight):
        wanted = {"loss": terms["loss"], **{name: terms[name] for name in self.objective.players(self)}}
        if sample_weight is not None:
            weight = ops.reshape(ops.cast(sample_weight, terms["loss"].dtype), ops.shape(terms["loss"]))
            wanted = {name: weight * term for name, term in wanted.items()}
        penalty = sum(self.losses)
        return {name: ops.mean(term) + penalty for name, term in wanted.items()}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True, noise=None):
        """Return the loss, a scalar: the batch mean of the objective's "loss", plus the layers' own losses.

        Args:
            x, y, sample_weight, training: as for `batch_losses`.
            y_pred: not used; Keras's signature has it.
            noise: as for `loss_terms`.
        """
        terms = self.loss_terms(x, y, noise=noise, training=training)
        return self._reduced(terms, sample_weight)["loss"]

    # What a model is used for ----------------------------------------------------------------------------------------

    def check_data(self, x: Any, name: str = "x") -> np.ndarray:
        """Return x as a float32 array of shape (n, *data_shape), or raise ValueError saying what is wrong with it."""
        return self.likelihood.check(x, name)

    def check_targets(self, y: Any, name: str = "y") -> None:
        """Raise ValueError where y, as `fit` is given it, is nothing that the objective can use."""
        self.objective.check_targets(y, name)

    def encode(self, x: Any, y: Any = None) -> np.ndarray:
        """Return the posterior means of x.

        Args:
            x: array of shape (n, *data_shape).
            y: what the encoder reads beside x, or nothing.

        Returns:
            Codes, a NumPy array of shape (n, latent_dim).
        """
        return evaluation.in_batches(self.posterior.mean, self.posterior_params(x, y))

    def posterior_params(self, x: Any, y: Any = None) -> np.ndarray:
        """Return the parameters of q(z|x), a NumPy array of shape (n, posterior.params_size); arguments as `encode`."""
        return evaluation.in_batches(self.run_encoder, self.check_data(x), y)

    def decode(self, z: Any, y: Any = None) -> np.ndarray:
        """Return the means of p(x|z): images without pixel noise.

        Args:
            z: codes, array of shape (n, latent_dim).
            y: what the decoder reads beside z, or nothing.

        Returns:
            NumPy array of shape (n, *data_shape).
        """
        z = checks.batch("z", z, self.posterior.event_shape).astype("float32", copy=False)
        return evaluation.in_batches(lambda *rows: self.likelihood.mean(self.run_decoder(*rows)), z, y)

    def reconstruct(self, x: Any, y: Any = None) -> np.ndarray:
        """Encode x by the posterior mean and decode it, a NumPy array of the shape of x."""
        return self.decode(self.encode(x, y), y)

    def generate(self, n: int, y: Any = None) -> np.ndarray:
        """Draw n codes from the prior and decode them, a NumPy array of shape (n, *data_shape)."""
        return self.decode(ops.convert_to_numpy(self.prior.sample(num=checks.positive_int("n", n))), y)

    def elbo(self, x: Any, num_samples: int = 1, y: Any = None) -> np.ndarray:
        """Return the ELBO of each example, a NumPy array of shape (n,), nats; see `vaelib.evaluation.elbo`."""
        return evaluation.elbo(self, x, num_samples, y)

    def log_evidence(self, x: Any, num_samples: int = 5000, y: Any = None) -> np.ndarray:
        """Estimate log p(x) of each example, a NumPy array of shape (n,), nats; see `vaelib.evaluation`."""
        return evaluation.log_evidence(self, x, num_samples, y)

    def get_config(self):
        parts = {part: keras.saving.serialize_keras_object(getattr(self, part)) for part in PARTS}
        return {**super().get_config(), **parts, "binarise": self.binarise}

    @classmethod
    def from_config(cls, config):
        config = copy.deepcopy(config)  # Keras empties the dictionary of a network that it builds
        parts = {part: keras.saving.deserialize_keras_object(config.pop(part)) for part in PARTS}
        return cls(**parts, **config)


def load(path: str | os.PathLike) -> VAE:
    """Load a VAE saved by `vae.save("name.keras")`, also in a process that has imported nothing else of vaelib.

    Args:
        path: the `.keras` file.

    Returns:
        The model, with its weights and its optimisers.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no whole `.keras` file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"path must name a saved model; there is no {path}.")
    problem = "is a folder" if path.is_dir() else None
    if problem is None and not zipfile.is_zipfile(path):
        problem = "is cut off, damaged or of another kind"
    if problem is None:
        try:
            return keras.saving.load_model(path)
        except (zipfile.BadZipFile, EOFError, OSError, KeyError) as error:
            problem = f"is damaged ({error})"
    raise ValueError(f'path must name a model saved by vae.save("name.keras"); {path} {problem}. Save it again.')


def _input_shape(network):
    return tuple(network.inputs[0].shape[1:])


def _output_size(network):
    return network.outputs[0].shape[-1]


def _run(network, name, first, y, training):
    """Call a network of one input with `first`, one of several with `first` and the parts of y."""
    if len(network.inputs) == 1:
        return in_full(network(first, training=training))
    parts = [] if y is None else keras.tree.flatten(y)
    if len(network.inputs) != 1 + len(parts):
        raise ValueError(
            f"the {name} has {len(network.inputs)} inputs: one and {len(network.inputs) - 1} parts of y; "
            f"received {len(parts)} parts of y. Pass them as fit(x, y), elbo(x, y=y), decode(z, y)."
        )
    return in_full(network([first, *parts], training=training))


def _rows(tensor, rank):
    """Return a tensor with its leading axes joined to one: (n, *last axes)."""
    return ops.reshape(tensor, (-1, *ops.shape(tensor)[len(tensor.shape) - rank :]))


def _repeated(part, lead):
    """Return the rows of part, shape (batch, ...), once for each code of shape (num, batch, ...), as (rows, ...)."""
    part = ops.convert_to_tensor(part)
    last = ops.shape(part)[1:]
    return _rows(ops.broadcast_to(part, (*lead, *last)), len(last))
