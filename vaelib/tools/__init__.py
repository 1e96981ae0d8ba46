"""What owners and teachers run.

runner      the notebooks, headless: reports, saved outputs, sweeps over parameters
grader      the assignments: student versions, grading
site        the course as web pages that need no network
lite        lessons as a JupyterLite site, where they run in the browser
folding     which cells only check, and are folded
links       the Binder and Colab links
kernels, jobs, processes, results    what these share

Each but these last is a command: `python -m vaelib.tools.runner --help`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
