"""Every part of the model, found by itself: a new class that is registered with Keras is tested with no new line."""

import functools
import importlib
import itertools
import pkgutil

import keras
import numpy as np

import vaelib.model
from vaelib.model.distributions import Distribution
from vaelib.model.flows import CouplingFlow, InverseAutoregressiveFlow, PlanarFlow
from vaelib.model.hierarchy import Chain, TopDown
from vaelib.model.labels import SemiSupervised
from vaelib.model.likelihoods import NegativeBinomial
from vaelib.model.networks import dense_decoder, dense_encoder
from vaelib.model.objectives import IWAE, AdversarialELBO, Objective
from vaelib.model.posteriors import DiagonalNormal, ImplicitPosterior
from vaelib.model.priors import StandardNormal
from vaelib.model.quantisation import CodeBook, UniformCodes
from vaelib.model.score_function import VIMCO, ScoreFunction, StraightThrough
from vaelib.model.transformed import Transformed


def registered(kind):
    """Return the classes of a kind in vaelib.model that Keras knows how to save: all but those to inherit from."""
    modules = [importlib.import_module(f"vaelib.model.{m.name}") for m in pkgutil.iter_modules(vaelib.model.__path__)]
    found = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    concrete = {cls for cls in found if issubclass(cls, kind) and ">" in keras.saving.get_registered_name(cls)}
    return sorted(concrete, key=lambda cls: cls.__name__)


def network_of_two(first, second, size):
    """A small keras.Model from two tensors to so many numbers."""
    inputs = [keras.Input(first), keras.Input(second)]
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(tensor) for tensor in inputs])
    return keras.Model(inputs, keras.layers.Dense(size)(keras.layers.Dense(3, activation="tanh")(joined)))


def implicit(event_shape):
    return ImplicitPosterior(network_of_two((4,), (3,), int(np.prod(event_shape))))


def halves(event_shape):
    """How many numbers the top and the layer below it hold, as many in all as an event."""
    return (total := int(np.prod(event_shape))) // 2, total - total // 2


def chain(event_shape):
    top, below = halves(event_shape)
    return Chain([StandardNormal(top), DiagonalNormal(below)], [dense_decoder(top, 2 * below, (3,), "tanh")])


def top_down(event_shape):
    top, below = halves(event_shape)
    return TopDown((top, below), [dense_decoder(top, 2 * below, (3,), "tanh")])


# Their values are the vectors of one code book, which no other part shares, and nothing in them is random: they have
# tests of their own, in test_quantisation.py.
OF_A_CODE_BOOK = (CodeBook, UniformCodes)

# How to make what its class and a shape do not say.
DISTRIBUTIONS_MADE_BY_HAND = {
    ImplicitPosterior: {"ImplicitPosterior": implicit},
    Chain: {"Chain": chain},
    TopDown: {"TopDown": top_down},
    NegativeBinomial: {
        "NegativeBinomial": NegativeBinomial,
        "NegativeBinomial of the network": lambda shape: NegativeBinomial(shape, "network"),
    },
    **{kind: {} for kind in OF_A_CODE_BOOK},
    Transformed: {
        "Transformed(DiagonalNormal)": lambda shape: Transformed(DiagonalNormal(shape), [PlanarFlow(), PlanarFlow()]),
        "Transformed(StandardNormal)": lambda shape: Transformed(StandardNormal(shape), [PlanarFlow(), PlanarFlow()]),
        "autoregressive posterior": lambda shape: Transformed(
            DiagonalNormal(shape), [InverseAutoregressiveFlow((3,), context_size=2, seed=0)]
        ),
        "coupling prior": lambda shape: Transformed(
            StandardNormal(shape), [CouplingFlow((3,), seed=0), CouplingFlow((3,), reverse=True, seed=1)]
        ),
    },
}
OBJECTIVES_MADE_BY_HAND = {
    IWAE: {
        "IWAE": lambda data_shape, latent_dim: IWAE(3),
        "IWAE doubly reparameterised": lambda data_shape, latent_dim: IWAE(3, doubly_reparameterized=True),
    },
    # Other baselines, and the slope through the mean, are in test_score_function.py: a variant costs ten pairings.
    ScoreFunction: {"ScoreFunction": lambda data_shape, latent_dim: ScoreFunction(2, "leave-one-out")},
    VIMCO: {"VIMCO": lambda data_shape, latent_dim: VIMCO(2)},
    SemiSupervised: {
        "SemiSupervised": lambda data_shape, latent_dim: SemiSupervised(
            dense_encoder(data_shape, 3, (3,), "tanh"), 3, weight=2.0, beta=0.7
        )
    },
    StraightThrough: {"StraightThrough": lambda data_shape, latent_dim: StraightThrough(0.7)},
    AdversarialELBO: {
        "AdversarialELBO": lambda data_shape, latent_dim: AdversarialELBO(
            network_of_two(data_shape, (latent_dim,), 1), critic_steps=2
        )
    },
}


def _makers(kind, made_by_hand, otherwise):
    named = [made_by_hand.get(cls, {cls.__name__: otherwise(cls)}) for cls in registered(kind)]
    return {name: make for each in named for name, make in each.items()}


# Names, and the functions that make a part: of an event shape, and of the shapes of data and codes.
DISTRIBUTIONS = _makers(Distribution, DISTRIBUTIONS_MADE_BY_HAND, lambda cls: cls)
OBJECTIVES = _makers(Objective, OBJECTIVES_MADE_BY_HAND, lambda cls: lambda data_shape, latent_dim: cls())


@functools.cache
def one_like(name, event_shape=(2,)):
    """A distribution that is only asked what it is. Made once: to choose among combinations, a thousand are asked."""
    return DISTRIBUTIONS[name](event_shape)


# Roles, by what a distribution says of itself.
_LIKE = {name: one_like(name) for name in DISTRIBUTIONS}
PRIORS = [name for name, part in _LIKE.items() if part.params_size == 0]
DISCRETE = ("binary", "one-hot")
WHOLE = (*DISCRETE, "count")  # values that zeros and ones are among, and no fractions
POSTERIORS = [
    name
    for name, part in _LIKE.items()
    if part.params_size and (part.support in DISCRETE or (part.support == "real" and part.reparameterized))
]
# Layers of latents are one row of numbers, no picture.
PICTURES = [name for name in DISTRIBUTIONS if one_like(name, (3, 2)).event_shape == (3, 2)]
LIKELIHOODS = [name for name in PICTURES if _LIKE[name].params_size and _LIKE[name].has_density]
DENSITIES = [name for name, part in _LIKE.items() if part.has_density]


def every_two_together(kinds, fit):
    """Choose combinations that fit so that every two parts of different kinds meet, if any that fits has them."""
    everything = [parts for parts in itertools.product(*kinds) if fit(*parts)]
    pairs = [
        {(i, parts[i], j, parts[j]) for i, j in itertools.combinations(range(len(kinds)), 2)} for parts in everything
    ]
    chosen, met = [], set()
    while any(news := [len(each - met) for each in pairs]):
        best = int(np.argmax(news))
        chosen.append(everything[best])
        met |= pairs[best]
    return chosen
