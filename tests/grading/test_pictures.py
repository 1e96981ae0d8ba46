"""Pictures drawn from a student's own numbers show what the question beneath them asks, whoever the student is."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from answers import source_of

pytestmark = pytest.mark.slow
STUDENTS = 25


def pictures(assignment):
    """What the picture's cell leaves behind, one dictionary of names for each student."""
    setup, *others = (cell.source for cell in source_of(assignment).cells if cell.cell_type == "code")
    (picture,) = [source for source in others if 'student = "your name"' in source]
    assert f'seed_of(student, "{assignment}")' in picture
    seen = []
    for number in range(STUDENTS):
        names = {}
        with plt.rc_context():
            exec(setup, names)
            exec(picture.replace('"your name"', f'"student {number}"').replace("plt.show()", ""), names)
        names["figure"] = plt.gcf()
        plt.close("all")
        seen.append(names)
    return seen


def test_one_fit_covers_both_modes_and_the_other_sits_on_one():
    seen = pictures("elbo_and_kl")
    for names in seen:
        forward, reverse = names["fit_forward"](names["target"]), names["fit_reverse"](names["target"])
        nearest = min(abs(reverse.mu - names["place"]), abs(reverse.mu + names["place"]))
        assert forward.std > names["place"] and reverse.std < 0.65 and nearest < 0.02
    first = [names["one"] is names["fit_forward"] for names in seen]
    assert 0 < sum(first) < STUDENTS  # A is the one or the other
    assert len({names["place"] for names in seen}) == STUDENTS


def test_three_estimators_have_one_mean_and_three_widths():
    seen = pictures("gradients")
    for names in seen:
        (ax,) = names["figure"].axes
        labels = ax.get_legend_handles_labels()[1]
        means = [float(label.rsplit(" ", 1)[1]) for label in labels]
        # Ten samples each, 2000 times: the widest has a standard deviation below 3.5.
        assert np.allclose(means, 2 * names["mu"], atol=5 * 3.5 / np.sqrt(2000)), labels
        spreads = [np.std(names["estimates"])]  # the last of the three, with a baseline
        eps = np.random.default_rng(0).standard_normal((2000, 10))
        spreads += [np.std(np.mean(2 * (names["mu"] + eps), axis=1))]
        spreads += [np.std(np.mean(((names["mu"] + eps) ** 2 + 5) * eps, axis=1))]
        assert spreads[1] < spreads[0] < spreads[2]
    assert len({names["mu"] for names in seen}) > STUDENTS // 2


def test_more_samples_shrink_mean_and_spread_and_the_mean_faster():
    for names in pictures("importance_weighting"):
        one, many = (ax.patches for ax in names["figure"].axes)
        lines = [ax.lines[0].get_xdata()[0] for ax in names["figure"].axes]
        assert len(one) == len(many) == 60 and abs(lines[1]) < abs(lines[0]) / 20
        assert abs(lines[0] + names["mu"]) < 5 / np.sqrt(2000)  # at k = 1 the mean is -mu
        assert 0.05 < np.std(names["plain"]) < 0.25 and 0.45 < np.mean(names["plain"] < 0) < 0.6


def test_relaxed_draws_lose_less_and_more_so_when_warm():
    for names in pictures("discrete_gradients"):
        titles = [ax.get_title("left") for ax in names["figure"].axes]
        cold, warm = (float(title.split("relaxed ")[1].split(",")[0]) for title in titles)
        assert warm < 0.1 < 0.2 < cold < names["hard"] and names["t"] ** 2 > 0.2
