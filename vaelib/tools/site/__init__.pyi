from .build import build_site as build_site
from .sources import Source as Source
from .sources import find_sources as find_sources
