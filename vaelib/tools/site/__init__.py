"""The course as a static site: pages that need no network, no server and no kernel.

sources    which copy of each notebook a page is made from
page       one notebook as one page (text: its text cells; outputs: those of its code; widgets: what moves on it)
build      write the pages, and what they load
mathjax    MathJax as files

On the command line: `python -m vaelib.tools.site --help`. Needs the extras: `pip install vaelib[course,site]`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
