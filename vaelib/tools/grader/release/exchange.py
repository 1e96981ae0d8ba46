"""The exchange of a JupyterHub: the folder through which nbgrader hands out and collects, and its settings."""

import os
from pathlib import Path

from vaelib.files import replace_file
from vaelib.tools.grader import GraderError

FILE = "nbgrader_config.py"
_WRITTEN = "# Written by `python -m vaelib.tools.grader exchange`."
_CONFIG = """{written}
# It belongs into a folder that `jupyter --paths` lists under "config" for everybody on the hub, such as /etc/jupyter.
c = get_config()  # noqa: F821 (nbgrader defines it)

c.CourseDirectory.course_id = {course_id!r}
# Everybody on the hub can write to it, as nbgrader asks; what is handed in there only the teacher can list.
c.Exchange.root = {root!r}
# nbgrader writes another zone by its short name, and takes a name such as CEST for UTC when it reads it back.
c.Exchange.timezone = "UTC"
# A submission without one of the assignment's notebooks is refused while its student can still mend it.
c.ExchangeSubmit.strict = True
"""


def write_exchange(root: str | os.PathLike, config: str | os.PathLike, course_id: str) -> Path:
    """Make the folder of the exchange, and write nbgrader's settings for everybody on the hub.

    Args:
        root: the folder, on a disk that all of the hub's servers see.
        config: folder for nbgrader_config.py.
        course_id: name of the course.

    Returns:
        Path of the settings.

    Raises:
        GraderError: a name that nbgrader cannot have, or settings of somebody else's.
    """
    root, path = Path(root).resolve(), Path(config, FILE)
    if not course_id or set(course_id) & set("/\\+*?[] "):
        raise GraderError(f"A course's name may hold no space and none of / \\ + * ? [ ], came {course_id!r}.")
    if path.exists() and not path.read_text(encoding="utf-8").startswith(_WRITTEN):
        raise GraderError(f"{path} is somebody else's: add these lines to it, or name another folder.")
    try:
        root.mkdir(parents=True, exist_ok=True)
        root.chmod(0o777)  # nbgrader wants to create the course's folder in it, whoever releases
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as half:
            half.write_text(_CONFIG.format(written=_WRITTEN, course_id=course_id, root=str(root)), encoding="utf-8")
        path.chmod(0o644)
    except OSError as error:
        raise GraderError(
            f"{error.filename or root} cannot be written: {error.strerror}. Run this as who may."
        ) from error
    return path
