from . import links as links
