"""vaelib: variational autoencoders that read like the mathematics.

The public names load on first use: `import vaelib` costs nothing, and `vaelib.theory` never brings Keras in.
"""

import contextlib
import ctypes
import importlib
import os
import sys

# TensorFlow writes to stderr at C level, into the notebooks' outputs. These two, set before its import, keep it quiet.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# Each matrix product of a training step takes scratch memory and frees it. glibc would hand it back to the system each
# time, and the page faults that follow cost a quarter of the training time: let it keep 64 MiB in hand. It must be told
# before TensorFlow starts its threads. Other C libraries do not have the call.
if sys.platform == "linux":
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(-2, 64 * 2**20)  # M_TOP_PAD

__version__ = "0.1.0"

_HOME_OF = {
    "VAE": "vae",
    "load": "vae",
    "DiagonalNormal": "posteriors",
    "FullNormal": "posteriors",
    "Bernoulli": "likelihoods",
    "ContinuousBernoulli": "likelihoods",
    "Normal": "likelihoods",
    "SharedNormal": "likelihoods",
    "MixturePrior": "priors",
    "StandardNormal": "priors",
    "VampPrior": "priors",
    "CosineLearningRate": "callbacks",
    "dense_encoder": "networks",
    "dense_decoder": "networks",
    "conv_encoder": "networks",
    "conv_decoder": "networks",
    "load_mnist": "data",
    "load_frey_face": "data",
    "load_images": "data",
    "synthetic_faces": "data",
    "claim_close": "claims",
    "claim_equal": "claims",
    "claim_monte_carlo": "claims",
    "claim_true": "claims",
    "record_figure": "claims",
    "summary": "claims",
}
_MODULES = {
    "callbacks",
    "claims",
    "course",
    "data",
    "diagnosis",
    "diagrams",
    "evaluation",
    "explore",
    "likelihoods",
    "mistakes",
    "networks",
    "plots",
    "posteriors",
    "pretrained",
    "priors",
    "theory",
    "training",
    "vae",
}

__all__ = sorted([*_HOME_OF, *_MODULES, "__version__"])


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"vaelib.{name}")
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"vaelib.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'vaelib' has no attribute {name!r}")


def __dir__():
    return __all__
