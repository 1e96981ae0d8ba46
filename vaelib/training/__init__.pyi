from . import blocks as blocks
from . import callbacks as callbacks
from . import progress as progress
from . import steps as steps
from .steps import forget_models as forget_models
