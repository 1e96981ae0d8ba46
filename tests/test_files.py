"""Files appear whole or not at all."""

import os
import threading

import pytest

from vaelib.files import replace_file


def test_a_file_appears_when_the_block_ends_and_nothing_else_stays(tmp_path):
    path = tmp_path / "new" / "result.json"
    with replace_file(path) as half:
        half.write_text("1", "utf-8")
        assert half.suffix == ".json"  # what writes by the ending finds the right one
        assert not path.exists()
    assert path.read_text("utf-8") == "1"
    assert os.listdir(path.parent) == ["result.json"]


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old", "utf-8")
    with pytest.raises(KeyboardInterrupt), replace_file(path) as half:
        half.write_text("ne", "utf-8")
        raise KeyboardInterrupt
    assert path.read_text("utf-8") == "old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old", "utf-8")
    with pytest.raises(FileNotFoundError), replace_file(path):
        pass
    assert path.read_text("utf-8") == "old"


def test_two_writers_do_not_mix(tmp_path):
    path, both = tmp_path / "result.txt", threading.Barrier(2)

    def write(text):
        with replace_file(path) as half, open(half, "w", encoding="utf-8") as file:
            both.wait(30)  # both files are open at once
            file.write(text * 10_000)
            both.wait(30)

    threads = [threading.Thread(target=write, args=(text,)) for text in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text("utf-8") in ("a" * 10_000, "b" * 10_000)
    assert os.listdir(tmp_path) == ["result.txt"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_the_file_may_be_read_by_whom_the_umask_allows(tmp_path):
    with replace_file(tmp_path / "shared") as half:
        half.write_text("1", "utf-8")
    (tmp_path / "plain").write_text("1", "utf-8")
    assert (tmp_path / "shared").stat().st_mode == (tmp_path / "plain").stat().st_mode
