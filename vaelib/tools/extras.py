"""What a command says where the packages of its extra are not installed."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def naming_extras(extras: str) -> Iterator[None]:
    """End a command with one line where a package is missing: around its imports, and as a decorator of its `main`.

    Args:
        extras: those of pyproject.toml that bring what the command needs, such as "course,site".

    Raises:
        SystemExit: a package is not installed (2).
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "vaelib":  # our mistake, which no installation mends
            raise
        # An error without a name was written by vaelib, and says already what is missing for what.
        missing = f"{error.name} is not installed." if error.name else str(error)
        print(f'{missing} This command needs extras: pip install "vaelib[{extras}]"', file=sys.stderr)
        raise SystemExit(2) from None
