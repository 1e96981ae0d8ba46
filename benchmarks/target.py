"""How long until test NELBO 152.29, the reference recipe's figure after 50 epochs: three ways to train one model."""

import time

import keras
import numpy as np

import vaelib

TARGET = 152.29  # nats; grey MNIST, Bernoulli, two latent dimensions, 200 hidden units
WAYS = {
    # name: (fit's own options, callbacks, epochs)
    "vaelib fit, cosine from 4e-3": (dict(), lambda: [vaelib.CosineLearningRate(4e-3)], 25),
    "vaelib fit, constant 1e-3": (dict(), list, 50),
    "Keras's own steps, constant 1e-3": (dict(blocks=False), list, 50),
}


class Stopwatch(keras.callbacks.Callback):
    """Note the seconds of training and the test NELBO after each epoch; the evaluation is not counted."""

    def __init__(self, x_test):
        super().__init__()
        self.x_test, self.seconds, self.nelbo = x_test, [], []

    def on_train_begin(self, logs=None):
        self.last, self.spent = time.perf_counter(), 0.0

    def on_epoch_end(self, epoch, logs=None):
        self.spent += time.perf_counter() - self.last
        self.seconds.append(self.spent)
        self.nelbo.append(self.model.evaluate(self.x_test)[0])
        self.last = time.perf_counter()


def time_to_target(seed=0):
    """Train each way once and return the epoch and the seconds at which the test NELBO is at most TARGET."""
    mnist = vaelib.load_mnist()
    if mnist.source.stand_in:
        print(f"\ntime to test NELBO {TARGET}: left out, it needs the real MNIST")
        return {"missing": "MNIST is not at hand"}
    print(f"\n{'until test NELBO ' + str(TARGET):<42}{'ratio':>7}{'epochs':>8}{'seconds':>9}{'final':>9}")
    rows, ours = {}, None
    for name, (options, callbacks, epochs) in WAYS.items():
        keras.utils.set_random_seed(seed)
        posterior, likelihood = vaelib.DiagonalNormal(2), vaelib.Bernoulli((28, 28))
        vae = vaelib.VAE(
            vaelib.dense_encoder((28, 28), posterior.params_size),
            vaelib.dense_decoder(2, likelihood.params_size),
            posterior,
            likelihood,
            vaelib.StandardNormal(2),
        )
        vae.compile("adam")
        watch = Stopwatch(mnist.x_test)
        vae.fit(mnist.x_train, epochs=epochs, verbose=0, callbacks=[*callbacks(), watch], **options)
        reached = np.flatnonzero(np.array(watch.nelbo) <= TARGET)
        row = {"final": watch.nelbo[-1], "epochs": None, "seconds": None, "nelbo": watch.nelbo}
        if len(reached):
            row.update(epochs=int(reached[0]) + 1, seconds=watch.seconds[reached[0]])
            ours = ours or row["seconds"]
            print(
                f"{name:<42}{row['seconds'] / ours:>7.2f}{row['epochs']:>8}{row['seconds']:>9.1f}{row['final']:>9.2f}"
            )
        else:
            print(f"{name:<42}{'':>7}{'not in':>8}{epochs:>6} ep{row['final']:>9.2f}")
        rows[name] = row
    return rows
