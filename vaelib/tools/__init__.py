"""What owners and teachers run: the course runner, the grader, the site, the links."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
