from .evidence import collect_evidence as collect_evidence
from .execution import execute as execute
from .notebooks import CourseError as CourseError
from .notebooks import Notebook as Notebook
from .notebooks import choose as choose
from .notebooks import find_notebooks as find_notebooks
from .parameters import parse_parameter as parse_parameter
from .report import write_report as write_report
