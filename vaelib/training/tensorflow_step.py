"""One step of training on TensorFlow: each player moves its own variables with its own optimiser."""

import functools

import tensorflow as tf

from vaelib.training.data import unpack
from vaelib.training.optimizers import optimizer_of
from vaelib.training.tensorflow_random import named_generator


@named_generator()
def train_step(model, batch):
    """Move all players once, after those of several steps have moved alone; return the running means.

    All gradients of the common move come from one forward pass, and are taken before any variable moves.
    """
    batch, players = unpack(batch), model.players()
    share = _share_of_batch(batch)
    for name, player in players.items():
        _repeat(player.steps - 1, functools.partial(_move, model, {name: player}, batch, share, track=False))
    losses = _move(model, players, batch, share, track=True)
    _track(model, losses["loss"], batch)
    return model.get_metrics_result()


@named_generator()
def test_step(model, batch):
    """Add a batch to the running means, and return them."""
    batch = unpack(batch)
    _track(model, model.batch_losses(*batch, training=False, track=True)["loss"], batch)
    return model.get_metrics_result()


def _move(model, players, batch, share, track):
    optimizers = {name: optimizer_of(model.optimizer, name) for name in players}
    with tf.GradientTape(persistent=len(players) > 1) as tape:
        losses = model.batch_losses(*batch, training=True, track=track)
        goals = {name: optimizers[name].scale_loss(share(losses[name])) for name in players}
    gradients = {name: tape.gradient(goals[name], player.variables) for name, player in players.items()}
    for name, player in players.items():
        optimizers[name].apply(gradients[name], player.variables)
    return losses


def _repeat(times, move):
    """Move so many times, in a loop of the graph where that can be: it compiles one move, not all of them."""
    # Replicas, which meet in each move, cannot meet in a loop.
    if tf.executing_eagerly() or tf.distribute.has_strategy():
        for _ in range(times):
            move()
    elif times:

        def body(i):
            move()
            return i + 1

        tf.while_loop(lambda i: i < times, body, [0])


def _track(model, loss, batch):
    count = tf.shape(batch.x)[0]
    # The mean of no example, which a replica may get at the end of an epoch, is not a number.
    model._loss_tracker.update_state(tf.where(count > 0, loss, 0.0), sample_weight=count)


def _share_of_batch(batch):
    """Return the function that makes of a replica's mean loss its share of the loss of the whole batch.

    Replicas add up their gradients. Their parts of a batch may differ in size, and one may be empty.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return lambda loss: loss
    count = tf.cast(tf.shape(batch.x)[0], "float32")
    share = count / tf.distribute.get_replica_context().all_reduce("SUM", count)
    return lambda loss: tf.math.multiply_no_nan(loss, tf.cast(share, loss.dtype))
