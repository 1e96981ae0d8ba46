"""An optimiser for each player, in one object that Keras can hold, save and load as a model's optimiser."""

import types
from collections.abc import Iterable, Mapping, ValuesView
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="vaelib")
class PlayersOptimizer(keras.optimizers.Optimizer):
    """The optimisers of a model whose losses move different variables.

    `vae.optimizer["critic"]` is the optimiser of the critic, `vae.optimizer.learning_rates` holds the rate of each.
    There is no single `learning_rate`; Keras's callbacks that set one go through `optimizers`, as for Keras's own
    MultiOptimizer. That one gives each variable an optimiser; here each loss has one, with its own number of steps.

    Args:
        optimizers: dictionary from the players' names to Keras optimisers.
        name: the object's name, as Keras has it.
    """

    def __init__(self, optimizers: Mapping[str, keras.optimizers.Optimizer], name: str | None = None):
        super().__init__(learning_rate=0.0, name=name)
        # A view that cannot change. As a plain dictionary it would be saved a second time, beside `variables`.
        self._optimizers = types.MappingProxyType(dict(optimizers))
        self._moved: dict[str, list] = {}

    def __getitem__(self, name: str) -> keras.optimizers.Optimizer:
        return self._optimizers[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The players' names."""
        return tuple(self._optimizers)

    @property
    def optimizers(self) -> ValuesView[keras.optimizers.Optimizer]:
        """The optimisers, in the order of `names`."""
        return self._optimizers.values()

    @property
    def variables(self) -> list:
        """The states of all optimisers, one behind the other."""
        return [variable for optimizer in self.optimizers for variable in optimizer.variables]

    @property
    def iterations(self):
        """Steps that the first player has taken."""
        return next(iter(self.optimizers)).iterations

    @property
    def learning_rates(self) -> dict[str, Any]:
        """The learning rate of each player, by name."""
        return {name: optimizer.learning_rate for name, optimizer in self._optimizers.items()}

    @property
    def learning_rate(self):
        raise AttributeError(self._several())

    @learning_rate.setter
    def learning_rate(self, value):
        raise AttributeError(self._several())

    def _several(self):
        return (
            f"each of the players {list(self.names)} has a learning rate of its own: "
            f'read and set `model.optimizer["{self.names[0]}"].learning_rate`.'
        )

    def build(self, variables: dict[str, list]) -> None:
        """Make the state of each optimiser.

        Args:
            variables: dictionary from the players' names to the variables that they move.
        """
        for name, optimizer in self._optimizers.items():
            if not optimizer.built:
                optimizer.build(variables[name])
        self._moved = variables
        self.built = True

    def finalize_variable_values(self, var_list):
        """Let each optimiser write its averages, where it keeps any, into the variables that it moves."""
        for name, optimizer in self._optimizers.items():
            optimizer.finalize_variable_values(self._moved[name])

    def get_config(self):
        parts = {name: keras.saving.serialize_keras_object(part) for name, part in self._optimizers.items()}
        return {"name": self.name, "optimizers": parts}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            name: keras.saving.deserialize_keras_object(part, custom_objects)
            for name, part in config["optimizers"].items()
        }
        return cls(parts, config["name"])


def for_players(optimizer: Any, names: Iterable[str], scale_loss: bool) -> keras.optimizers.Optimizer:
    """Make of `compile`'s argument what the model keeps as its optimiser.

    Args:
        optimizer: a Keras optimiser or its name; or a dictionary from the players' names to such; or a
            PlayersOptimizer.
        names: the players.
        scale_loss: whether each optimiser scales its loss up, as 16-bit floats need it.

    Returns:
        For one player its optimiser itself; for several a PlayersOptimizer. A single optimiser is cloned for each.

    Raises:
        ValueError: a player without an optimiser, an optimiser without a player, or one object for two players.
    """
    names = tuple(names)
    if isinstance(optimizer, PlayersOptimizer):
        optimizer = dict(zip(optimizer.names, optimizer.optimizers, strict=True))
    if isinstance(optimizer, dict) and "class_name" not in optimizer:  # a Keras configuration is a dictionary too
        _check_names(optimizer, names)
        parts = {name: keras.optimizers.get(optimizer[name]) for name in names}
    elif len(names) == 1:
        parts = {names[0]: keras.optimizers.get(optimizer)}
    else:
        config = keras.saving.serialize_keras_object(keras.optimizers.get(optimizer))
        parts = {name: keras.saving.deserialize_keras_object(config) for name in names}
    if len({id(part) for part in parts.values()}) < len(parts):
        raise ValueError(f"each of the players {list(names)} needs an optimiser of its own; received one for two.")
    if scale_loss:
        parts = {name: _scaling(part) for name, part in parts.items()}
    if len(names) == 1:
        return parts[names[0]]
    for name, part in parts.items():
        part.name = name  # Keras's callbacks log "learning_rate_<name>"
    return PlayersOptimizer(parts)


def optimizer_of(optimizer: keras.optimizers.Optimizer, name: str) -> keras.optimizers.Optimizer:
    """Return the optimiser that moves a player."""
    return optimizer[name] if isinstance(optimizer, PlayersOptimizer) else optimizer


def each_of(optimizer: keras.optimizers.Optimizer) -> list[keras.optimizers.Optimizer]:
    """Return the optimisers, one per player."""
    return list(optimizer.optimizers) if isinstance(optimizer, PlayersOptimizer) else [optimizer]


def build(optimizer: keras.optimizers.Optimizer, players: Mapping[str, Any]) -> None:
    """Make the state of the players' optimisers, where they have none yet.

    Raises:
        ValueError: the players are not those that the model was compiled for.
    """
    several = isinstance(optimizer, PlayersOptimizer)
    if set(players) != set(optimizer.names) if several else len(players) > 1:
        raise ValueError(f"the model's players are {list(players)} now, which it was not compiled for: compile it.")
    if several:
        optimizer.build({name: player.variables for name, player in players.items()})
    elif not optimizer.built:
        optimizer.build(next(iter(players.values())).variables)


def _check_names(optimizers, names):
    missing = [name for name in names if name not in optimizers]
    unknown = [name for name in optimizers if name not in names]
    if missing or unknown:
        raise ValueError(
            f"optimizer must hold one optimiser for each of the players {list(names)}; "
            f"missing: {missing or 'none'}, unknown: {unknown or 'none'}."
        )


def _scaling(optimizer):
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)
