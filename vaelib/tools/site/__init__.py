"""The course as a static site: pages that need no network, no server and no kernel.

Command line: `python -m vaelib.tools.site --help`. Needs the extras: `pip install vaelib[course,site]`.
"""

from vaelib.tools.site.build import build_site
from vaelib.tools.site.sources import Source, find_sources

__all__ = ["Source", "build_site", "find_sources"]
