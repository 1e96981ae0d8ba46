"""Each notebook runs with small parameters and keeps its claims, in this process: the quick look of `make test`."""

from pathlib import Path

import pytest
from breaking import sources_of
from in_process import notebook_shell
from small_runs import CHANGED

from vaelib.mime import CLAIM_MIME

NOTEBOOKS = sorted(path.stem for path in (Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
# What only takes longer, thinned out: other tests look at each mistake by itself. And a claim about the process, which
# holds in a kernel and not here, where other notebooks have loaded TensorFlow.
THINNED = {
    "00_start_here": {'claim_true("and TensorFlow is not even loaded", "tensorflow" not in sys.modules)': "pass"},
    "09_wrong_losses": {"found = {}": "found, broken = {}, dict(list(broken.items())[2:5])"},
}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_claim_holds(name, request):
    sources, displayed = sources_of(name, CHANGED[name], THINNED.get(name, {})), []
    if any("import keras" in source for source in sources):
        request.getfixturevalue("without_xla")
    with notebook_shell() as run:
        for source in sources:
            ran = run(source)
            if ran.error is not None:
                raise ran.error
            displayed += ran.displayed
    claims = [data[CLAIM_MIME] for data in displayed if CLAIM_MIME in data]
    assert claims and all(claim["passed"] for claim in claims)
    assert any("image/png" in data for data in displayed)


def test_none_is_left_at_its_defaults():
    assert set(CHANGED) == set(NOTEBOOKS)
