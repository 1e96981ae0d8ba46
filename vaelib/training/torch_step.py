"""One step of training on torch: each player moves its own variables with its own optimiser."""

import torch

from vaelib.training.data import unpack
from vaelib.training.optimizers import optimizer_of


def train_step(model, batch):
    """Move all players once, after those of several steps have moved alone; return the running means.

    All gradients of the common move come from one forward pass, and are taken before any variable moves.
    """
    batch, players = unpack(batch), model.players()
    for name, player in players.items():
        for _ in range(player.steps - 1):
            _move(model, {name: player}, batch, track=False)
    losses = _move(model, players, batch, track=True)
    _track(model, losses["loss"], batch)
    return model.get_metrics_result()


def test_step(model, batch):
    """Add a batch to the running means, and return them."""
    batch = unpack(batch)
    _track(model, model.batch_losses(*batch, training=False, track=True)["loss"], batch)
    return model.get_metrics_result()


def _move(model, players, batch, track):
    optimizers = {name: optimizer_of(model.optimizer, name) for name in players}
    losses = model.batch_losses(*batch, training=True, track=track)
    gradients: dict[str, tuple] = {}
    for name, player in players.items():
        goal, values = optimizers[name].scale_loss(losses[name]), [variable.value for variable in player.variables]
        last = len(gradients) == len(players) - 1
        gradients[name] = torch.autograd.grad(goal, values, retain_graph=not last, allow_unused=True)
    with torch.no_grad():
        for name, player in players.items():
            optimizers[name].apply(gradients[name], player.variables)
    return losses


def _track(model, loss, batch):
    model._loss_tracker.update_state(loss.detach(), sample_weight=batch.x.shape[0])
