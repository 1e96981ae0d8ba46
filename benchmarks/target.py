"""How long until test NELBO 152.29, the reference recipe's figure after 50 epochs, in each library."""

import dataclasses
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from contenders import Setting, with_jax, with_keras, with_torch, with_vaelib

TARGET = 152.29  # nats; grey MNIST, Bernoulli, two latent dimensions, 200 hidden units
COSINE, CONSTANT = Setting(epochs=25, peak=4e-3), Setting(epochs=50)
SPREAD = dataclasses.replace(COSINE, spread=1.0)
WAYS = {
    # name: (contender, setting, the library that it needs)
    "vaelib fit, cosine from 4e-3": (with_vaelib.fit, COSINE, "tensorflow"),
    "vaelib fit, cosine from 4e-3, bends spread": (with_vaelib.fit, SPREAD, "tensorflow"),
    "JAX, scanned epoch, cosine from 4e-3": (with_jax.scan, COSINE, "jax"),
    "PyTorch, eager, cosine from 4e-3": (with_torch.eager, COSINE, "torch"),
    "vaelib fit, constant 1e-3": (with_vaelib.fit, CONSTANT, "tensorflow"),
    "Keras fit, constant 1e-3": (with_keras.fit, CONSTANT, "tensorflow"),
    "Keras's own steps of vaelib, constant 1e-3": (with_vaelib.steps, CONSTANT, "tensorflow"),
}


class Stopwatch:
    """Note the seconds of training and the test NELBO after each epoch; the evaluation is not counted.

    Each test image is looked at with eight draws of the noise: one draw leaves 0.05 nats of doubt.
    """

    def __init__(self, contender, x_test):
        self.contender, self.x_test = contender, x_test
        self.seconds, self.nelbo, self.spent = [], [], 0.0
        self.last = time.perf_counter()

    def __call__(self):
        self.spent += time.perf_counter() - self.last
        self.seconds.append(self.spent)
        self.nelbo.append(float(np.mean([self.contender.nelbo(self.x_test) for _ in range(8)])))
        self.last = time.perf_counter()


def time_to_target(ways=WAYS, epochs=None):
    """Train each way once, in a process of its own, and say when the test NELBO was at most TARGET.

    Args:
        ways: as WAYS.
        epochs: passes in place of the setting's, for a trial.

    Returns:
        name -> {"epochs", "seconds": None where the target was not reached, "final", "nelbo": after each epoch}, or
        {"missing": why}.
    """
    import vaelib

    mnist = vaelib.load_mnist()
    if mnist.source.stand_in:
        print(f"\ntime to test NELBO {TARGET}: left out, it needs the real MNIST")
        return {"missing": "MNIST is not at hand"}
    print(f"\n{'until test NELBO ' + str(TARGET):<44}{'ratio':>7}{'epochs':>8}{'seconds':>9}{'final':>9}")
    rows, ours = {}, None
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images.npz")
        np.savez(images, train=mnist.x_train, test=mnist.x_test)
        for name, (_, setting, library) in ways.items():
            row = rows[name] = _one_way(name, images, epochs or setting.epochs, library)
            if "missing" in row:
                print(f"{name:<44}missing: {row['missing']}")
            elif row["seconds"] is None:
                print(f"{name:<44}{'':>7}{'not in':>8}{len(row['nelbo']):>6} ep{row['final']:>9.2f}")
            else:
                ours = ours or row["seconds"]
                ratio = f"{row['seconds'] / ours:>7.2f}{row['epochs']:>8}{row['seconds']:>9.1f}"
                print(f"{name:<44}{ratio}{row['final']:>9.2f}")
    return rows


def _one_way(name, images, epochs, library):
    """Train in a process of its own: two libraries that bring an LLVM do not bear each other in one."""
    if importlib.util.find_spec(library) is None:
        return {"missing": f"{library} not installed"}
    command = [sys.executable, __file__, name, str(images), str(epochs)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        return {"missing": (ended.stderr.strip().splitlines() or ["failed"])[-1]}
    return json.loads(ended.stdout.splitlines()[-1])


def work(name, images, epochs, seed=0):
    """Train one way and print when it got there, as a line of JSON."""
    make, setting, library = WAYS[name]
    if library == "torch":
        import torch

        torch.manual_seed(seed)
    elif library == "tensorflow":
        import vaelib  # noqa: F401  (quiet start of TensorFlow)
        import keras

        keras.utils.set_random_seed(seed)
    with np.load(images) as data:
        x_train, x_test = data["train"], data["test"]
    contender = make(x_train, dataclasses.replace(setting, epochs=int(epochs)))
    watch = Stopwatch(contender, x_test)
    contender.train(watch)
    reached = np.flatnonzero(np.array(watch.nelbo) <= TARGET)
    row = {"final": watch.nelbo[-1], "epochs": None, "seconds": None, "nelbo": watch.nelbo}
    if len(reached):
        row.update(epochs=int(reached[0]) + 1, seconds=watch.seconds[reached[0]])
    print(json.dumps(row))


if __name__ == "__main__":
    work(*sys.argv[1:])
