"""One step of training on JAX: each player moves its own variables with its own optimiser."""

from typing import NamedTuple

import jax
import keras

from vaelib.training.data import unpack
from vaelib.training.optimizers import optimizer_of


class State(NamedTuple):
    """The values of a model's variables, in the order in which Keras hands them to a step."""

    trainable: list
    non_trainable: list
    optimizer: list
    metrics: list


def train_step(model, state, batch):
    """Move all players once, after those of several steps have moved alone; return the running means and the state.

    All gradients of the common move come from one forward pass, and are taken before any variable moves.
    """
    state, batch, players = State(*state), unpack(batch), model.players()
    for name, player in players.items():
        for _ in range(player.steps - 1):
            _, state = _move(model, {name: player}, state, batch, track=False)
    losses, state = _move(model, players, state, batch, track=True)
    logs, metrics = _track(model, state.metrics, losses["loss"], batch)
    return logs, tuple(state._replace(metrics=metrics))


def test_step(model, state, batch):
    """Add a batch to the running means; return them and the state."""
    trainable, non_trainable, metrics = state
    batch = unpack(batch)
    with _values(model, State(trainable, non_trainable, [], metrics)) as scope:
        loss = model.batch_losses(*batch, training=False, track=True)["loss"]
    non_trainable = _current(scope, model.non_trainable_variables)
    logs, metrics = _track(model, _current(scope, model.metrics_variables), loss, batch)
    return logs, (trainable, non_trainable, metrics)


def _move(model, players, state, batch, track):
    def goal(own, name):
        """A player's scaled loss as a function of its own variables; with all losses and what the pass changed."""
        with _values(model, state, zip(players[name].variables, own, strict=True)) as scope:
            losses = model.batch_losses(*batch, training=True, track=track)
            scaled = optimizer_of(model.optimizer, name).scale_loss(losses[name])
        changed = _current(scope, model.non_trainable_variables), _current(scope, model.metrics_variables)
        return scaled, (losses, *changed)

    # Every player's pass is the same forward pass from the same state. The compiler finds that, and does it once.
    with _values(model, state) as scope:
        own = {name: _current(scope, player.variables) for name, player in players.items()}
    gradients: dict[str, list] = {}
    for name in players:
        gradients[name], (losses, non_trainable, metrics) = jax.grad(goal, has_aux=True)(own[name], name)
    with _values(model, state) as scope:
        for name, player in players.items():
            optimizer = optimizer_of(model.optimizer, name)
            moved = optimizer.stateless_apply(_current(scope, optimizer.variables), gradients[name], own[name])
            for variables, values in zip((player.variables, optimizer.variables), moved, strict=True):
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value)
    trainable = _current(scope, model.trainable_variables)
    return losses, State(trainable, non_trainable, _current(scope, model.optimizer.variables), metrics)


def _track(model, metrics, loss, batch):
    with keras.StatelessScope(list(zip(model.metrics_variables, metrics, strict=True))) as scope:
        model._loss_tracker.update_state(loss, sample_weight=batch.x.shape[0])
        logs = model.get_metrics_result()
    return logs, _current(scope, model.metrics_variables)


def _values(model, state, others=()):
    """Return the scope in which a model's variables have the values of a state, and others those given with them."""
    variables = State(
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables if state.optimizer else [],
        model.metrics_variables,
    )
    mapping = [pair for pairs in map(zip, variables, state) for pair in pairs]
    return keras.StatelessScope([*mapping, *others], collect_losses=True)


def _current(scope, variables):
    return [scope.get_current_value(variable) for variable in variables]
