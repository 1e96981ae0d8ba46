"""Pictures that move with sliders: labs for the theory, latent sliders for the decoders. Nothing here loads Keras."""

import importlib

_HOME_OF = {
    "DrawDigit": "draw_digit",
    "Lab": "lab",
    "LatentPad": "latent_pad",
    "LatentSliders": "sliders",
    "latent_sliders": "sliders",
    "NumpyDecoder": "frames",
    "NumpyEncoder": "encoder",
    "to_png": "frames",
}

__all__ = sorted(_HOME_OF)


def __getattr__(name):
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"vaelib.explore.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'vaelib.explore' has no attribute {name!r}")


def __dir__():
    return __all__
