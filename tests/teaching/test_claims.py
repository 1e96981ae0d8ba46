"""Claims: what passes, what fails, what is refused, and what a notebook's output carries."""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from vaelib.mime import CLAIM_MIME, FIGURE_MIME
from vaelib.teaching import claims
from vaelib.teaching.claims import (
    ClaimError,
    claim_close,
    claim_equal,
    claim_monte_carlo,
    claim_true,
    record_figure,
    summary,
)


@pytest.fixture(autouse=True)
def no_claims_yet(monkeypatch):
    monkeypatch.setattr(claims, "_claims", {})


def test_a_claim_that_holds_prints_one_line(capsys):
    claim_close("log p(x) = ELBO + KL(q‖p(z|x))", 1 + 3.552713678800501e-15, 1.0, atol=1e-9)
    line = "✓ log p(x) = ELBO + KL(q‖p(z|x))   |difference| 3.6e-15 ≤ 1e-09\n"
    assert capsys.readouterr().out == line


def test_a_claim_that_fails_shows_its_line_then_raises_with_both_values(capsys):
    with pytest.raises(ClaimError, match=r"(?s)3\.25.*2\.125"):
        claim_close("halves", 3.25, 2.125, atol=1.0)
    assert capsys.readouterr().out == "✗ halves   |difference| 1.125 > 1\n"
    assert issubclass(ClaimError, AssertionError)


@pytest.mark.parametrize("difference, holds", [(0.1, True), (0.3, True), (0.31, False), (-0.31, False)])
def test_the_tolerance_is_atol_plus_rtol_times_expected(difference, holds):
    def claim():
        claim_close("within 0.1 + 0.1 × 2", -2 + difference, -2.0, atol=0.1000001, rtol=0.1)

    claim() if holds else pytest.raises(ClaimError, claim)


def test_without_a_tolerance_only_equality_passes():
    claim_close("exact", [1.5, 2.5], [1.5, 2.5])
    with pytest.raises(ClaimError):
        claim_close("one ulp off", np.nextafter(1.0, 2.0), 1.0)


def test_the_worst_element_of_an_array_counts(capsys):
    expected = np.arange(12.0).reshape(3, 4)
    actual = expected.copy()
    actual[1, 2] += 0.5
    actual[2, 0] -= 0.25
    with pytest.raises(ClaimError, match=r"(?s)index \(1, 2\).*6\.5.*6\.0"):
        claim_close("arrays", actual, expected, atol=0.4)
    claim_close("arrays", actual, expected, atol=0.6)
    assert summary().claims[0].difference == 0.5
    # Index 0 differs by less than index 1, but its tolerance is smaller still.
    with pytest.raises(ClaimError, match=r"index \(0,\)"):
        claim_close("relative", [1.2, 101.0], [1.0, 100.0], rtol=0.1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_never_pass(bad, recwarn):
    for sides in [(bad, bad), (bad, 1.0), (1.0, bad), ([1.0, bad], [1.0, bad])]:
        with pytest.raises(ClaimError):
            claim_close("close", *sides, atol=1e300, rtol=1e300)
        with pytest.raises(ClaimError):
            claim_equal("equal", *sides)
    with pytest.raises(ClaimError):
        claim_monte_carlo("samples", [1.0, 2.0, bad], 1.5)
    with pytest.raises(ClaimError):
        claim_monte_carlo("estimate", bad, 1.5, standard_error=1e300)
    with pytest.raises(ClaimError):
        claim_monte_carlo("expected", 1.5, bad, standard_error=1e300)
    assert not recwarn.list  # a warning would land in the cell's stderr
    assert not any(claim.passed for claim in summary().claims)
    json.dumps([vars(claim) for claim in summary().claims], allow_nan=False)


def test_an_overflowing_difference_fails():
    with pytest.raises(ClaimError):
        claim_close("overflow", 1.7e308, -1.7e308, atol=1e308)


def test_shapes_must_agree_but_one_number_may_stand_for_all():
    claim_close("rows sum to one", np.full(5, 0.2 * 5), 1.0)
    for actual, expected in [(np.ones((5, 1)), np.ones(5)), (1.0, np.ones(2)), (np.ones(3), np.ones(2))]:
        with pytest.raises(ValueError, match=r"expected must be .*\(\d"):
            claim_close("shapes", actual, expected, atol=9)
    with pytest.raises(ValueError, match="empty"):
        claim_close("nothing", [], [], atol=1)
    assert [claim.text for claim in summary().claims] == ["rows sum to one"]


@pytest.mark.parametrize("bad", [-1e-9, math.nan, math.inf, [0.1, 0.2], None, "0.1"])
@pytest.mark.parametrize("name", ["atol", "rtol"])
def test_a_bad_tolerance_is_refused(name, bad):
    with pytest.raises((ValueError, TypeError), match=name):
        claim_close("tolerance", 1.0, 1.0, **{name: bad})


@pytest.mark.parametrize("bad", ["one", None, 1 + 2j, {"a": 1}])
def test_a_side_that_is_no_number_is_refused(bad):
    with pytest.raises(TypeError, match="actual"):
        claim_close("numbers", bad, 1.0, atol=1)


@pytest.mark.parametrize("bad", ["", "  ", "two\nlines", None, 3])
def test_the_text_must_be_one_line(bad):
    with pytest.raises(TypeError, match="text must be"):
        claim_true(bad, True)


@pytest.mark.parametrize(
    "actual, expected, holds",
    [
        (28, 28, True),
        (28, 28.0, True),
        (28, 29, False),
        (2**53 + 1, 2**53, False),  # the same float64, not the same number
        ((28, 28), (28, 28), True),
        ((28, 28), (784,), False),
        ("relu", "relu", True),
        ("relu", "tanh", False),
        ("3", 3, False),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        (None, None, True),
        (None, 0, False),
        ([[1], [1, 2]], [[1], [1, 2]], True),
        (["a", "b"], ["a", "c"], False),
        (np.arange(1000), np.arange(1000), True),
        (np.ones((3, 1)), np.ones(3), False),
        (np.float32(0.1), 0.1, False),
    ],
)
def test_claim_equal(actual, expected, holds):
    if holds:
        claim_equal("equal", actual, expected)
    else:
        with pytest.raises(ClaimError):
            claim_equal("equal", actual, expected)
    assert summary().claims[0].passed is holds


def test_claim_equal_shows_both_sides(capsys):
    claim_equal("pixels", 28 * 28, 784)
    with pytest.raises(ClaimError, match=r"(?s)actual: +\(2, 3\).*expected: +\(3, 2\)"):
        claim_equal("shape", np.ones((2, 3)).shape, (3, 2))
    assert capsys.readouterr().out == "✓ pixels   784 = 784\n✗ shape   (2, 3) ≠ (3, 2)\n"


def test_claim_true(capsys):
    claim_true("KL is not negative", np.array([0.0, 0.1]) >= 0, detail="smallest 0.0 nats")
    with pytest.raises(ClaimError):
        claim_true("no", False)
    with pytest.raises(ClaimError, match="1 of 2"):
        claim_true("one of two", np.array([True, False]))
    assert capsys.readouterr().out.startswith("✓ KL is not negative   smallest 0.0 nats\n✗ no\n")
    for bad in (math.nan, 1, "yes", None, np.array([1.0, 2.0]), np.array([], dtype=bool)):
        with pytest.raises(TypeError, match="condition must be"):
            claim_true("not a condition", bad)


def test_a_monte_carlo_claim_states_its_error_bar(capsys):
    claim_monte_carlo("mean", 1.003, 1.0, standard_error=0.002)
    assert capsys.readouterr().out == "✓ mean   difference 0.003 ≤ 5 × 0.002 (standard error)\n"
    with pytest.raises(ClaimError):
        claim_monte_carlo("mean", 1.003, 1.0, standard_error=0.002, num_errors=1.4)
    assert "✗ mean   difference 0.003 > 1.4 × 0.002 (standard error)" in capsys.readouterr().out


def test_samples_give_their_own_standard_error():
    samples = np.random.default_rng(0).normal(loc=2.0, size=(400, 3))
    claim_monte_carlo("one column", samples[:, 0], 2.0)
    claim = summary().claims[0]
    assert claim.tolerance == pytest.approx(5 * stats.sem(samples[:, 0]), rel=1e-12)
    assert claim.difference == pytest.approx(abs(samples[:, 0].mean() - 2.0), rel=1e-12)
    claim_monte_carlo("three columns", samples, np.full(3, 2.0))
    error = stats.sem(samples[:, 1])
    with pytest.raises(ClaimError, match=r"index \(1,\)"):
        claim_monte_carlo("three columns", samples, [2.0, samples[:, 1].mean() + 6 * error, 2.0])


def test_both_sides_may_have_an_error():
    with pytest.raises(ClaimError):
        claim_monte_carlo("3-4-5", 4.9, 0.0, standard_error=0.3, num_errors=10)
    claim_monte_carlo("3-4-5", 4.9, 0.0, standard_error=0.3, expected_error=0.4, num_errors=10)
    assert summary().claims[0].tolerance == pytest.approx(5.0)


def test_a_true_monte_carlo_claim_rarely_fails_and_a_biased_one_fails():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        try:
            claim_monte_carlo("two errors", rng.normal(size=200), 0.0, num_errors=2.0)
            held += 1
        except ClaimError:
            pass
    # Expected 95.4 % of 300 = 286, standard deviation 3.6.
    assert 286 - 5 * 3.6 < held < 300
    with pytest.raises(ClaimError):
        claim_monte_carlo("biased by 10 errors", rng.normal(size=10_000) + 0.1, 0.0)


@pytest.mark.parametrize("bad", [0.0, -0.1, math.nan, math.inf, [0.1, 0.0]])
def test_a_bad_standard_error_is_refused(bad):
    estimate = 1.0 if np.ndim(bad) == 0 else [1.0, 1.0]
    with pytest.raises(ValueError, match="standard_error must be above 0"):
        claim_monte_carlo("error", estimate, 1.0, standard_error=bad)


def test_wrong_monte_carlo_calls_are_refused():
    with pytest.raises(ValueError, match="at least two independent samples"):
        claim_monte_carlo("no error", 1.0, 1.0)
    with pytest.raises(ValueError, match="standard_error must be above 0"):
        claim_monte_carlo("all equal", np.full(7, 0.1), 0.1)  # its spread by rounding is 1e-17, not 0
    with pytest.raises(ValueError, match="expected_error"):
        claim_monte_carlo("negative", 1.0, 1.0, standard_error=0.1, expected_error=-0.1)
    with pytest.raises(ValueError, match="of shape"):
        claim_monte_carlo("shape", [1.0, 2.0], 1.0, standard_error=[0.1, 0.1, 0.1])
    for bad in (0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="num_errors"):
            claim_monte_carlo("errors", 1.0, 1.0, standard_error=0.1, num_errors=bad)
    assert summary().claims == ()


def test_record_figure(capsys):
    record_figure("test NELBO", 151.9312, "nats")
    record_figure("frames", 1965)
    record_figure("R²", np.float32(0.953218))
    assert capsys.readouterr().out == "test NELBO: 151.93 nats\nframes: 1965\nR²: 0.9532\n"
    for bad in (math.nan, math.inf, [1.0, 2.0]):
        with pytest.raises(ValueError, match="finite number"):
            record_figure("bad", bad)
    with pytest.raises(TypeError, match="name"):
        record_figure("", 1.0)


def test_summary_counts_and_replaces(capsys):
    assert repr(summary()) == "0 claims made, 0 held"
    claim_close("a < b & c", 1.0, 1.0, atol=0.5)
    with pytest.raises(ClaimError):
        claim_true("second", False)
    with pytest.raises(ClaimError):
        claim_close("third", math.nan, 1.0, atol=1)
    table = summary()
    assert table.headline() == "3 claims made, 1 held"
    text = repr(table).splitlines()
    assert text[1].split() == ["✓", "a", "<", "b", "&", "c", "0", "0.5"]
    assert text[2].split() == ["✗", "second", "–", "–"]
    page = table._repr_html_()
    assert "a &lt; b &amp; c" in page and "<script" not in page and page.count("<tr>") == 4
    claim_true("second", True)  # the cell was mended and run again
    assert summary().headline() == "3 claims made, 2 held"
    assert [claim.text for claim in summary().claims] == ["a < b & c", "second", "third"]
    assert table.headline() == "3 claims made, 1 held"  # a table once shown does not change


def test_in_a_notebook_each_line_carries_its_machine_readable_copy():
    """A shell in a fresh process: the outputs are what a kernel would send."""
    script = """
import json
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
from vaelib.teaching.claims import *
from vaelib.mime import CLAIM_MIME, FIGURE_MIME
from vaelib.teaching import claims
with capture_output() as captured:
    claims.claim_close("π", 3.25, 3.0, atol=0.5)
    try:
        claims.claim_close("no", 3.25, 3.0, atol=0.125)
    except claims.ClaimError:
        pass
    claims.record_figure("test NELBO", 151.93, "nats")
print(json.dumps([output.data for output in captured.outputs]))
print(captured.stdout == "" and captured.stderr == "")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    outputs, silent = done.stdout.splitlines()
    assert silent == "True"
    held, failed, figure = json.loads(outputs)
    assert held[CLAIM_MIME] == [
        {"text": "π", "passed": True, "difference": 0.25, "tolerance": 0.5, "detail": "|difference| 0.25 ≤ 0.5"}
    ]
    assert held["text/plain"] == "✓ π   |difference| 0.25 ≤ 0.5"
    (claim,) = failed[CLAIM_MIME]
    assert {**claim, "detail": ""} == {
        "text": "no", "passed": False, "difference": 0.25, "tolerance": 0.125, "detail": ""
    }  # fmt: skip
    assert figure[FIGURE_MIME] == {"name": "test NELBO", "value": 151.93, "unit": "nats"}
    assert figure["text/plain"] == "test NELBO: 151.93 nats"


def test_in_a_kernel_the_claims_of_a_cell_are_one_output():
    """It grows with each claim, and a claim that fails leaves those before it, and itself, in sight."""
    nbclient = pytest.importorskip("nbclient")
    from nbformat.v4 import new_code_cell, new_notebook

    start = "from vaelib.teaching.claims import claim_equal, claim_true"
    sources = [
        "claim_equal('a < b', 1, 1)\nprint('between')\nclaim_true('second', True, 'why')\nclaim_true('third', True)",
        "claim_true('alone', True)",
        "claim_true('holds', True)\nclaim_equal('fails', 1, 2)",
    ]
    notebook = new_notebook(cells=[new_code_cell(source) for source in (start, *sources)])
    nbclient.NotebookClient(notebook, timeout=600, allow_errors=True, kernel_name="python3").execute()
    several, alone, failed = (cell.outputs for cell in notebook.cells[1:])
    assert [output.output_type for output in several] == ["display_data", "stream"]
    data = several[0].data
    assert [claim["text"] for claim in data[CLAIM_MIME]] == ["a < b", "second", "third"]
    assert data["text/plain"].splitlines() == ["✓ a < b   1 = 1", "✓ second   why", "✓ third"]
    assert "<details><summary>✓ 3 of 3 hold</summary>" in data["text/html"] and "a &lt; b" in data["text/html"]
    assert [claim["text"] for claim in alone[0].data[CLAIM_MIME]] == ["alone"]
    assert "details" not in alone[0].data["text/html"]
    assert [claim["passed"] for claim in failed[0].data[CLAIM_MIME]] == [True, False]
    assert "<details open><summary>✗ 1 of 2 hold" in failed[0].data["text/html"]
    assert failed[1].ename == "ClaimError"


def test_claims_need_neither_keras_nor_ipython_nor_a_unicode_terminal():
    script = """
import sys
sys.modules["IPython"] = None
from vaelib.teaching.claims import claim_true
claim_true("1 ≤ 2", True)
print(sorted(set(sys.modules) & {"keras", "tensorflow", "torch", "jax"}))
"""
    env = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\? 1 \? 2\n\[\]\n", done.stdout)


def test_a_keras_tensor_is_an_array_too():
    class Tensor:  # what NumPy asks of a tensor from any library
        def __array__(self, dtype=None, copy=None):
            return np.array([1.0, 2.0], dtype=dtype)

    claim_close("tensor", Tensor(), [1.0, 2.0])
    with pytest.raises(ClaimError):
        claim_equal("tensor", Tensor(), [1.0, 3.0])
