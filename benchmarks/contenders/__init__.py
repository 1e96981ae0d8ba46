"""The same VAE trained in every way that a reader might choose: the Bernoulli recipe with Adam.

Each way takes the images, float32 (n, 28, 28), and a `Setting`, and returns a `Contender`. What it needs is imported
inside it, so that one missing library costs one row.
"""

from contenders import products, with_jax, with_keras, with_torch, with_vaelib
from contenders.setting import Contender as Contender
from contenders.setting import Setting as Setting

OURS, BOUND = "vaelib fit", "matrix products alone"
# name: (function, the libraries it needs)
CONTENDERS = {
    OURS: (with_vaelib.fit, ["tensorflow"]),
    "JAX, scanned epoch": (with_jax.scan, ["jax"]),
    "PyTorch, compiled": (with_torch.compiled, ["torch"]),
    "PyTorch, eager": (with_torch.eager, ["torch"]),
    "Keras, own train_step": (with_keras.train_step, ["tensorflow"]),
    "Keras fit": (with_keras.fit, ["tensorflow"]),
    BOUND: (products.alone, []),
}
