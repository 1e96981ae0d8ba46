"""Which cells only check, and that they are marked where JupyterLab and the site look."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from vaelib.mime import CLAIM_MIME
from vaelib.tools.folding import find_checks, is_folded, main, mark


def cell(source, shows=(), tags=()):
    outputs = [new_output("display_data", data={mime: "x"}) for mime in shows]
    return new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)} if tags else {})


CHECK = "claim_close('a', x, 1)"


def checks(*cells):
    return find_checks(new_notebook(cells=list(cells)))


def test_a_cell_that_shows_claims_and_gives_nothing_only_checks():
    assert checks(cell("x = 1"), cell(CHECK, [CLAIM_MIME])) == {1}
    assert checks(cell("for i in range(3):\n    claim_true('b', i < 3)\n[claim_true('c', j > 0) for j in (1, 2)]")) == {
        0
    }
    assert checks(new_markdown_cell("claim_true"), cell("y = 2\nvaelib.claim_true('b', y > 1)")) == {1}


def test_what_is_looked_at_stays_open():
    assert not checks(cell("x = 1\nx"))
    assert not checks(cell(f"{CHECK}\nplt.show()", [CLAIM_MIME, "image/png"])), "it draws"
    assert not checks(cell(f"{CHECK}\nprint(x)", [CLAIM_MIME, "text/plain"])), "it prints"
    assert not checks(cell(f"{CHECK}\ncheck_answer(x, 3)")), "the reader answers there"
    assert not checks(cell(CHECK, tags=["open"])) and not checks(cell(CHECK, tags=["parameters"]))


def test_what_the_lesson_goes_on_with_stays_open():
    assert not checks(cell(f"x = 1\n{CHECK}"), cell("plt.plot(x)"))
    assert not checks(cell(f"def f(): ...\n{CHECK}"), cell("f()"))
    assert not checks(cell(f"x = 1\n{CHECK}"), cell("x += 1\nx"))
    # A name that a later cell makes anew is not asked of this one; nor are the names of loops, or an import.
    assert checks(cell(f"x = 1\n{CHECK}"), cell("x = 2\nprint(x)")) == {0}
    assert checks(cell(f"x = 1\n{CHECK}"), cell("[x for x in range(3)]\nprint(lambda x: x)")) == {0}
    assert checks(cell(f"import numpy as np\n{CHECK}"), cell("np.pi")) == {0}
    # What another check alone needs folds with it.
    assert checks(cell("x = 1\nclaim_true('b', x > 0)"), cell(CHECK)) == {0, 1}


def test_marks_come_and_go(tmp_path, capsys):
    path = tmp_path / "01_a.ipynb"
    other = cell("x = 1", tags=["check", "mine"])
    other.metadata["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
    nbformat.write(new_notebook(cells=[other, cell(CHECK, [CLAIM_MIME]), cell("x")]), path)
    assert main(["--check", str(path)]) == 1 and "out of date" in capsys.readouterr().out
    assert main([str(path)]) == 0 and "marked" in capsys.readouterr().out
    first, second, third = nbformat.read(path, as_version=4).cells
    assert first.metadata == {"tags": ["mine"], "jupyter": {"outputs_hidden": True}}
    assert second.metadata == {"tags": ["check"], "jupyter": {"source_hidden": True}} and is_folded(second)
    assert not is_folded(first) and third.metadata == {}
    assert main(["--check", str(path)]) == 0 and not mark(nbformat.read(path, as_version=4))


def test_an_answer_is_folded_whole_and_is_no_check(tmp_path):
    path = tmp_path / "01_a.ipynb"
    answer = cell(CHECK, [CLAIM_MIME], tags=["answer"])
    nbformat.write(new_notebook(cells=[answer, cell("x")]), path)
    assert checks(answer) == set() and main(["--check", str(path)]) == 1
    assert main([str(path)]) == 0 and main(["--check", str(path)]) == 0
    found = nbformat.read(path, as_version=4).cells[0].metadata
    assert found == {"tags": ["answer"], "jupyter": {"source_hidden": True, "outputs_hidden": True}}
