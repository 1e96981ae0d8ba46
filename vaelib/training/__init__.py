"""Training: whole blocks of steps in one compiled program, callbacks, progress. The only room that names TensorFlow."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
