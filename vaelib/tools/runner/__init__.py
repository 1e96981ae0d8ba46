"""The course runner: finds the notebooks, runs them headless, reports on them, saves their outputs.

notebooks      which notebooks there are, their titles and parameters
parameters     the parameters that the command line gives
execution      run one notebook in a kernel of its own
evidence       what an executed notebook says of itself: claims, figures, data, which code of the widgets it shows
running        run the chosen notebooks one after the other
report         the course report, as JSON and HTML
saving         put outputs back into the notebooks
sweep          run one notebook over a grid of parameters (with sweep_runs, sweep_worker, sweep_results)
options        the words of the command line

On the command line: `python -m vaelib.tools.runner --help`. Needs the extra `course`: `pip install vaelib[course]`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
