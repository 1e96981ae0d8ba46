"""The lab of notebook 08, driven over its whole menu: intervals against SciPy's paired t test."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

from vaelib.pretrained.parts import SOCKETS as OF_SCRIPT
from vaelib.widgets.parts_lab import BASES, SOCKETS, PartsLab, difference, load_rows, pixels_of


@pytest.fixture(scope="module")
def lab():
    lab = PartsLab()
    yield lab
    lab.close()


def test_an_interval_is_that_of_the_paired_t_test():
    a, b = np.random.default_rng(0).normal(size=(2, 5))
    each, mean, half = difference(a, b)
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((expected.low, expected.high))
    np.testing.assert_allclose(each, a - b)
    wider = difference(a, b, 0.99)[2]
    assert wider / half == pytest.approx(stats.t.ppf(0.995, 4) / stats.t.ppf(0.975, 4))


def test_every_part_shows_what_was_recorded(lab):
    rows = load_rows()
    for part in lab.controls["part"].options:
        now = lab.numbers(part=part, all=False)
        base = rows[now["names"][0]]
        assert now["names"][0] == BASES["grey" if rows[part]["grey"] else "ink"]
        for score in ("elbo", "log_p"):
            each = now[f"{score}_each"].reshape(len(now["names"]), -1)
            np.testing.assert_allclose(each[0], np.array(base[score]) - np.mean(base[score]))
            for i, name in enumerate(now["names"][1:]):
                expected = stats.ttest_rel(rows[name][score], base[score]).confidence_interval(0.95)
                mean, half = now[f"{score}_mean"][i], now[f"{score}_half"][i]
                assert (mean - half, mean + half) == pytest.approx((expected.low, expected.high))
                np.testing.assert_allclose(each[i + 1], np.subtract(rows[name][score], base[score]))
            low, high = now["range"]
            assert low < min(0, each.min()) and high > max(0, each.max())
        assert now["gap"][1] == pytest.approx(np.mean(rows[part]["log_p"]) - np.mean(rows[part]["elbo"]))


def test_a_socket_shows_its_own_parts_and_the_base_all_of_its_scale(lab):
    for part in lab.controls["part"].options:
        names = lab.shown(part, False)[1:]
        if part != "base":
            assert {lab.rows[name]["socket"] for name in names} == {lab.rows[part]["socket"]}
            assert part in names
        everything = lab.shown(part, True)
        assert len({lab.rows[name]["grey"] for name in everything}) == 1  # densities are never beside the others
    assert set(lab.shown("base", False)) == {name for name, row in lab.rows.items() if not row["grey"]}


def test_its_sockets_are_those_of_the_script(lab):
    assert tuple(SOCKETS) == OF_SCRIPT
    assert {row["socket"] for row in lab.rows.values()} == {"", *SOCKETS}


def test_the_still_picture_has_a_row_for_each_model_and_its_images(lab):
    figure = lab.figure(part="full covariance")
    elbo, log_p, *images = figure.axes
    labels = [label.get_text() for label in elbo.get_yticklabels()]
    assert labels == lab.shown("full covariance", False)
    assert [len(line.get_xdata()) for line in elbo.lines].count(5) == len(labels)  # five dots in each row
    assert log_p.get_xlim() == elbo.get_xlim()
    shown = pixels_of(lab.rows["full covariance"]["samples"])
    np.testing.assert_array_equal(images[1].images[0].get_array(), shown)
    plt.close(figure)


def test_what_it_cannot_show_is_named():
    rows = load_rows()
    with pytest.raises(ValueError, match="rows must hold 'base'"):
        PartsLab({name: row for name, row in rows.items() if name != "base"})
    short = {**rows, "β = 4": {**rows["β = 4"], "elbo": [1.0, 2.0]}}
    with pytest.raises(ValueError, match="the same number of seeds"):
        PartsLab(short)
