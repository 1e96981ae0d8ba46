from . import answers as answers
from . import claims as claims
from . import diagnosis as diagnosis
from . import diagrams as diagrams
from . import mistakes as mistakes
from . import palette as palette
from . import plots as plots
from . import runs as runs
