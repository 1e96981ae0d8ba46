"""What only notebooks and assignments import: claims, answers, plots, tables, diagrams, mistakes, diagnosis."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
