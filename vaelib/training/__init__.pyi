from . import blocks as blocks
from . import callbacks as callbacks
from . import compilation as compilation
from . import progress as progress
from . import steps as steps
from .compilation import compiled as compiled
from .steps import forget_models as forget_models
