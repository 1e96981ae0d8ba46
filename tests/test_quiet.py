"""What TensorFlow says while it is imported stays out of the cells; what anything else says does not."""

import os
import subprocess
import sys
import textwrap

import pytest

LOUD = """
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
os.write(2, b"I0000 port.cc:153] oneDNN custom operations are on. You may see slightly different results\\n")
os.write(2, b"something is wrong\\n")
"""


def run(code, folder=None):
    env = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    env |= {"PYTHONPATH": str(folder)} if folder else {}
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=env, capture_output=True, text=True)


@pytest.fixture
def loud(tmp_path):
    (tmp_path / "loud.py").write_text(LOUD)
    return tmp_path


def test_known_lines_are_kept_out_and_others_pass(loud):
    done = run(
        """
        from vaelib.quiet import TENSORFLOW, quieten
        quieten("loud", TENSORFLOW)
        import importlib.util, json
        assert importlib.util.find_spec("loud") is not None  # asked for, and not yet imported
        import loud
        import os
        os.write(2, b"afterwards\\n")
        print(type(loud.__spec__.loader).__name__, type(loud.__loader__).__name__)
        """,
        loud,
    )
    assert done.stderr == "something is wrong\nafterwards\n"
    assert done.stdout == "SourceFileLoader SourceFileLoader\n"


def test_without_it_all_lines_are_there(loud):
    assert len(run("import vaelib, loud", loud).stderr.splitlines()) == 3


def test_an_import_that_fails_says_why(loud):
    (loud / "loud.py").write_text(LOUD + "raise RuntimeError('no')")
    done = run("from vaelib.quiet import TENSORFLOW, quieten\nquieten('loud', TENSORFLOW)\nimport loud", loud)
    assert done.stderr.startswith("something is wrong\n") and "RuntimeError: no" in done.stderr
    assert "oneDNN" not in done.stderr


def test_a_process_without_stderr_imports_as_well(loud):
    code = "import os\nos.close(2)\nfrom vaelib.quiet import quieten\nquieten('loud', ())\nimport loud\nprint('done')"
    (loud / "loud.py").write_text("pass")
    assert run(code, loud).stdout == "done\n"


def test_tensorflow_is_quiet_and_has_its_fast_convolutions():
    done = run("import os, vaelib, tensorflow as tf\ntf.zeros(3) + 1\nprint(os.environ.get('TF_ENABLE_ONEDNN_OPTS'))")
    assert (done.stdout, done.stderr) == ("None\n", "")
