"""A cell that runs again closes what it made before, and what is closed says nothing when it is shown."""

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from vaelib.pretrained import weights
from vaelib.widgets import cells
from vaelib.widgets.draw_digit import DrawDigit
from vaelib.widgets.kl_lab import KlLab
from vaelib.widgets.latent_pad import LatentPad
from vaelib.widgets.sliders import latent_sliders


def decode(z):
    return np.zeros((len(z), 4, 4))


MAKERS = {
    "LatentPad": lambda: LatentPad(decode, latent_dim=2),
    "DrawDigit": lambda: DrawDigit(weights.load()),
    "a lab": KlLab,
    "latent_sliders": lambda: latent_sliders(decode, latent_dim=2),
}


@pytest.fixture
def run_cell(monkeypatch):
    """The function that makes something in a cell of JupyterLab, in its nth execution."""

    def run(make, cell, execution):
        class Shell:
            def get_parent(self):
                return {"metadata": {"cellId": cell}, "header": {"msg_id": f"{cell}-{execution}"}}

        with monkeypatch.context() as patch:
            patch.setattr(cells, "get_ipython", Shell)
            return make()

    return run


@pytest.mark.parametrize("kind", MAKERS)
def test_the_widget_of_an_earlier_run_is_closed(run_cell, kind):
    closed = []
    first = run_cell(MAKERS[kind], f"{kind} 1", 1)
    beside = run_cell(MAKERS[kind], f"{kind} 1", 1)
    other = run_cell(MAKERS[kind], f"{kind} 2", 1)
    for widget in (first, beside, other):
        close = widget.close
        object.__setattr__(widget, "close", lambda widget=widget, close=close: (closed.append(widget), close()))
    second = run_cell(MAKERS[kind], f"{kind} 1", 2)
    assert closed == [first, beside] and second not in closed


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_closed_may_be_shown_without_an_error(kind, capsys):
    widget = MAKERS[kind]()
    widget.close()
    widget.close()
    data, _ = DisplayFormatter().format(widget)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err + shown.out and not any("widget-view" in mime for mime in data)
