"""vaelib: variational autoencoders that read like the mathematics.

The public names stand in `__init__.pyi` and load on first use: `import vaelib` costs nothing, and `vaelib.theory` never
brings Keras in.
"""

import os

import lazy_loader

from vaelib.quiet import TENSORFLOW, quieten

# TensorFlow writes to stderr at C level, into the notebooks' outputs. This keeps it quiet, if it is imported later.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
quieten("tensorflow", TENSORFLOW)
# oneDNN's own allocator keeps what it once had: 130 MB in a lesson of dense networks.
os.environ.setdefault("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
