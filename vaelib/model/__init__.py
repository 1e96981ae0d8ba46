"""The model: distributions, objectives, networks and the VAE that they compose. Needs Keras and NumPy alone."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
