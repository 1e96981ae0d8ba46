"""The progress display: one line per epoch headless, one line that changes in a notebook."""

import re

import pytest

from vaelib.training import progress
from vaelib.training.progress import Progress

NAMES = ("loss", "reconstruction", "kl")
LOGS = {
    "loss": 152.125,
    "reconstruction": 146.0,
    "kl": 6.125,
    "val_loss": 153.0,
    "val_reconstruction": 147,
    "val_kl": 6,
}


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets by hand."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(progress.time, "perf_counter", lambda: Clock.now)
    return Clock


def run(callback, clock, epochs, logs=LOGS, first=0, seconds=10):
    callback.on_train_begin()
    for epoch in range(first, epochs):
        callback.on_epoch_begin(epoch)
        clock.now += seconds
        callback.on_train_batch_end(0, {"loss": 200.0, "reconstruction": 190.0, "kl": 10.0})
        callback.on_epoch_end(epoch, logs)


def test_headless_it_prints_one_line_per_epoch(capsys, clock):
    callback = Progress(2, NAMES)
    run(callback, clock, 2)
    callback.on_train_end()
    values = (
        "loss 152.12 (validation 153.00) · reconstruction 146.00 (validation 147.00) · KL 6.12 (validation 6.00) nats"
    )
    assert capsys.readouterr().out.splitlines() == [
        f"epoch 1/2 · {values} · 0:10 left",
        f"epoch 2/2 · {values} · 0:00 left",
        "trained in 0:20",
    ]


def test_the_time_left_is_the_mean_epoch_times_the_epochs_to_come(capsys, clock):
    run(Progress(10, NAMES), clock, 5, seconds=30, first=3)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["4/10", "5/10"]
    assert [re.search(r"(\S+) left", line)[1] for line in lines] == ["3:00", "2:30"]


def test_in_a_notebook_one_display_is_updated_in_place(capsys, clock, notebook):
    callback = Progress(2, NAMES)
    run(callback, clock, 2)
    callback.on_train_end()
    shown = [repr(state) for state in notebook.shown]
    assert shown[0].startswith("training · epoch 0/2")
    assert shown[1].startswith("training · epoch 1/2 · loss 200.00 · reconstruction 190.00 · KL 10.00 nats")
    assert shown[2].startswith("training · epoch 1/2 · loss 152.12 (validation 153.00)")
    assert shown[2].endswith("0:10 so far, 0:10 left")
    assert shown[-1].startswith("trained · epoch 2/2 · loss 152.12") and shown[-1].endswith("0:20")
    html = notebook.shown[-1]._repr_html_()
    assert '<progress value="1.000" max="1"' in html and "aria-label" in html and shown[-1] in html
    output = capsys.readouterr()
    assert output.out == output.err == ""


def test_in_a_notebook_it_updates_ten_times_a_second_at_most(clock, notebook):
    callback = Progress(1, NAMES)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for _ in range(100):
        clock.now += 0.01
        callback.on_train_batch_end(0, {"loss": 1.0})
    assert 5 <= len(notebook.shown) <= 12


def test_an_interrupt_says_what_is_kept(capsys, clock, notebook):
    callback = Progress(5, NAMES)
    run(callback, clock, 2)
    callback.interrupted(2)
    assert "interrupted after 2 of 5 epochs: the model and its history are kept" in repr(notebook.shown[-1])


def test_an_interrupt_is_told_headless_too(capsys, clock):
    callback = Progress(5, NAMES)
    run(callback, clock, 2)
    callback.interrupted(2)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == "interrupted after 2 of 5 epochs: the model and its history are kept in 0:20"
    Progress(5, NAMES).interrupted(3)  # silent so far
    assert capsys.readouterr().out == "interrupted after 3 of 5 epochs: the model and its history are kept\n"
    Progress(5, NAMES).interrupted(None)
    assert capsys.readouterr().out == "interrupted before the training began\n"


def test_it_shows_what_it_is_told_to_in_that_order(capsys, clock):
    callback = Progress(1, ("loss", "critic", "kl", "absent"))
    run(callback, clock, 1, {"learning_rate": 0.1, "kl": 3, "critic": 2, "loss": 1, "val_critic": 4})
    assert "· loss 1.00 · critic 2.00 (validation 4.00) · KL 3.00 nats ·" in capsys.readouterr().out


def test_an_early_stop_is_told(capsys, clock):
    callback = Progress(5, NAMES)
    run(callback, clock, 3)
    callback.on_train_end()
    assert capsys.readouterr().out.splitlines()[-1] == "trained (stopped after epoch 3) in 0:30"


def test_a_terminal_is_no_notebook(monkeypatch):
    import IPython

    assert not progress.in_notebook()
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    assert not progress.in_notebook()
