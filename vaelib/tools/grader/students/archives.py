"""Archives that a platform or a student made: looked at before they are unpacked."""

import re
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from nbgrader.plugins import ExtractorPlugin
from nbgrader.utils import unzip

ENTRIES, BYTES = 20_000, 2 * 10**9  # of a whole class
STUDENT_ENTRIES, STUDENT_BYTES = 1_000, 200 * 10**6  # of an archive that one student handed in


class SafeExtractor(ExtractorPlugin):
    """nbgrader's extractor, which looks at an archive before it unpacks it: one that is too large stays packed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.remarks: list[str] = []

    def extract(self, archive_path: str, extracted_path: str) -> None:
        """Copy what is no archive, and unpack what is one; archives within archives stay as they are."""
        for path in sorted(Path(archive_path).rglob("*")):
            inside = path.relative_to(archive_path)
            target = Path(extracted_path) / inside.parent
            if is_hidden(inside) or path.is_symlink() or not path.is_file():
                continue
            target.mkdir(parents=True, exist_ok=True)
            if path.suffix not in self.zip_ext:
                shutil.copy(path, target / path.name)
                continue
            try:
                problem = unfit(path, STUDENT_ENTRIES, STUDENT_BYTES)
                if not problem:
                    unzip(str(path), str(target), zip_ext=self.zip_ext, create_own_folder=True)
            except Exception as error:  # whatever an archive may hold
                problem = str(error) or type(error).__name__
            if problem:
                self.remarks.append(f"{inside}: not unpacked, {problem}")


def unfit(path: Path, most_entries: int, most_bytes: int) -> str:
    """Return why an archive is not to be unpacked; empty where it may be.

    Args:
        path: of a zip file, or a tar file with gzip.
        most_entries: it may hold.
        most_bytes: they may have together. A zip file's own figures bind: what is longer than it says is an error.
    """
    if not path.is_file():
        return "there is no such file"
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                names = [entry.filename for entry in file.infolist()]
                sizes = [entry.file_size for entry in file.infolist()]
        elif tarfile.is_tarfile(path):
            names, sizes = [], []
            with tarfile.open(path) as tar:
                for member in tar:
                    names.append(member.name)
                    sizes.append(member.size)
                    if len(sizes) > most_entries or sum(sizes) > most_bytes:
                        break
        else:
            return "it is no zip file"
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError) as error:
        return f"it cannot be read ({error})"
    if len(sizes) > most_entries:
        return f"it holds over {most_entries} files"
    if outside := [name for name in names if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name)]:
        return f"{outside[0]} would be written outside of its folder"
    if sum(sizes) > most_bytes:
        return f"it holds over {most_bytes // 10**6} MB"
    return ""


def is_hidden(path: Path) -> bool:
    """Return whether a path within an archive is what an operating system or Jupyter left there."""
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)
