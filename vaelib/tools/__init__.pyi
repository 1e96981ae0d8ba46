from . import folding as folding
from . import grader as grader
from . import links as links
from . import lite as lite
from . import runner as runner
from . import site as site
