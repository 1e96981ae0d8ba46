"""Pictures that move with sliders: labs for the theory, latent sliders for the decoders. Nothing here loads Keras."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
