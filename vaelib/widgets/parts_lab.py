"""The lab of notebook 08: a VAE with five sockets; what one swapped part does to the ELBO and to log p(x)."""

import base64
import io
import json

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from scipy.stats import t as student

from vaelib.pretrained import FOLDER
from vaelib.teaching.palette import COLOURS
from vaelib.widgets.controls import Menu, Toggle
from vaelib.widgets.lab import Lab

SCORES = {"elbo": "ELBO, less that of the base", "log_p": "log p(x), less that of the base"}
BASES = {"ink": "base", "grey": "base on grey"}
SOCKETS = {
    "network": "dense",
    "q(z|x)": "diagonal normal",
    "p(x|z)": "Bernoulli",
    "p(z)": "N(0, I), 10 dimensions",
    "objective": "ELBO, β = 1",
}
FIRST = "50 dimensions"  # the part that is in at the start
CONFIDENCE = 0.95
KEPT = ("socket", "grey", "code", "elbo", "log_p", "weights", "samples")


def difference(values, base, confidence=CONFIDENCE):
    """Return the paired differences of two models by seed, their mean, and half a t interval of that mean.

    Args:
        values, base: scores of the two, one per seed, in the same order, shape (n,).
        confidence: of the interval.

    Returns:
        Differences (n,), their mean, and half the interval's width: the quantile of Student's t with n - 1 degrees of
        freedom, times the standard error.
    """
    each = np.asarray(values, float) - np.asarray(base, float)
    factor = student.ppf(0.5 + confidence / 2, len(each) - 1)
    return each, each.mean(), factor * each.std(ddof=1) / np.sqrt(len(each))


def load_rows(folder=FOLDER):
    """Return what `python -m vaelib.pretrained.parts` recorded: by model, a dictionary."""
    return json.loads((folder / "parts.json").read_text("utf-8"))["rows"]


def pixels_of(png):
    """Return the grey values of a PNG in base64, (height, width), 0 to 255."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("L"))


class PartsLab(Lab):
    """The lab: click a socket to put its next part in; a forest plot shows every seed against the mean of the base.

    Nothing is trained here. Keyboard, mouse and touch reach the sockets, the menu and the rows of the plot.

    Args:
        rows: by name, a row of parts.json; by default the figures that ship.

    Raises:
        ValueError: a base is missing, or two rows have not the same number of seeds.
    """

    def __init__(self, rows=None):
        rows = load_rows() if rows is None else rows
        if BASES["ink"] not in rows:
            raise ValueError(f"rows must hold {BASES['ink']!r}; received {list(rows)}.")
        if len({len(row[score]) for row in rows.values() for score in SCORES}) != 1:
            raise ValueError("rows must all have the same number of seeds.")
        order = list(SOCKETS)
        names = [name for name in rows if name not in BASES.values()]
        names.sort(key=lambda name: order.index(rows[name]["socket"]))
        self.rows = {name: rows[name] for name in (*BASES.values(), *names) if name in rows}
        self.seeds = len(rows[BASES["ink"]]["elbo"])
        data = {
            "rows": [{"name": name, **{key: row[key] for key in KEPT}} for name, row in self.rows.items()],
            "sockets": [{"name": name, "base": part} for name, part in SOCKETS.items()],
            "bases": BASES,
            "t": float(student.ppf(0.5 + CONFIDENCE / 2, self.seeds - 1)),
        }
        controls = {
            "part": Menu("the part that is swapped", (BASES["ink"], *names), FIRST if FIRST in names else names[0]),
            "all": Toggle("all sockets in one plot"),
        }
        super().__init__(
            "parts",
            controls,
            data,
            alt="A VAE with five sockets. For each swapped part: its line of code, its images, and a forest plot of "
            "the ELBO and of log p(x) against the base, a dot for each seed and a 95 % t interval.",
        )

    def compute(self, part, all):
        names = self.shown(part, all)
        base, *others = (self.rows[name] for name in names)
        numbers, ends = {"names": names}, [0.0]
        for score in SCORES:
            found = [difference(row[score], base[score]) for row in others]
            own = np.array(base[score]) - np.mean(base[score])
            numbers[f"{score}_each"] = np.concatenate([own, *(each for each, _, _ in found)])
            numbers[f"{score}_mean"] = np.array([mean for _, mean, _ in found])
            numbers[f"{score}_half"] = np.array([half for _, _, half in found])
            ends += [*numbers[f"{score}_each"], *(mean + sign * half for _, mean, half in found for sign in (-1, 1))]
        margin = 0.06 * (max(ends) - min(ends))
        numbers["range"] = [min(ends) - margin, max(ends) + margin]
        numbers["gap"] = [np.mean(row["log_p"]) - np.mean(row["elbo"]) for row in (base, self.rows[part])]
        return numbers

    def shown(self, part, all):
        """Return the names in the plot, from above: the base, then those of the part's socket, or of all sockets."""
        grey, socket = self.rows[part]["grey"], self.rows[part]["socket"]
        base = BASES["grey" if grey else "ink"]
        everything = not grey and (all or part == base)
        rest = (
            name for name, row in self.rows.items() if row["grey"] == grey and (everything or row["socket"] == socket)
        )
        return [base, *(name for name in rest if name != base)]

    def draw(self, now, values):
        names = now["names"]
        figure = plt.figure(figsize=(10, 2.6 + 0.24 * len(names)))
        above, below = figure.subfigures(2, 1, height_ratios=[0.24 * len(names) + 0.9, 1.7])
        for ax, (score, title) in zip(above.subplots(1, 2, sharey=True), SCORES.items(), strict=True):
            ax.axvline(0, color=COLOURS["grey"], linewidth=0.8)
            for i, name in enumerate(names):
                each = now[f"{score}_each"][self.seeds * i : self.seeds * (i + 1)]
                ax.plot(each, np.full(self.seeds, -i), "o", color=COLOURS["grey"], markersize=3)
                if i:
                    colour = COLOURS["vermillion" if name == values["part"] else "blue"]
                    mean, half = now[f"{score}_mean"][i - 1], now[f"{score}_half"][i - 1]
                    ax.errorbar(mean, -i, xerr=half, fmt="o", color=colour, linewidth=2)
            ax.set(title=title, xlabel="nats per digit", xlim=now["range"], ylim=(0.6 - len(names), 0.6))
            ax.set_yticks(-np.arange(len(names)), names)
        pictures = below.subplots(2, 1)
        for ax, name in zip(pictures, (names[0], values["part"]), strict=True):
            ax.imshow(pixels_of(self.rows[name]["samples"]), cmap="gray", vmin=0, vmax=255)
            ax.set_title(f"new images: {name}", fontsize=9)
            ax.set_axis_off()
        return figure
