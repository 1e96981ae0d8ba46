"""The lab of notebook 21: six code vectors on a plane, their cells, and what a step of k-means does."""

import matplotlib.pyplot as plt
import numpy as np

from vaelib.teaching.palette import COLOURS
from vaelib.theory.quantisation import distortion, entropy_bits, lloyd_step, nearest, shares
from vaelib.widgets import noise
from vaelib.widgets.controls import Slider
from vaelib.widgets.lab import Lab

NAMES = ("blue", "orange", "green", "purple", "vermillion", "sky")  # a colour for each code
GROUPS = ((-1.6, -0.8), (1.5, -1.0), (0.1, 1.6))  # the middles of the clouds
SPREAD, NUM_POINTS = 0.45, 360
END = 4.0  # of the plane
# One code in each cloud, one between two, one at the rim, and one where no point is.
START = ((-1.2, -0.4), (1.0, -0.6), (0.4, 1.2), (-0.2, -1.0), (0.6, 2.2), (3.6, 3.6))
STEP = 0.001


class CodebookLab(Lab):
    """The lab: drag six code vectors over three clouds of points; each point belongs to the nearest.

    A button takes a step of k-means: each code goes to the mean of its points. A code without points stays where it is;
    another button puts it on the point that is farthest from all codes.

    Args:
        codes: where the six start, pairs.
    Raises:
        ValueError: a start that its control cannot take.
    """

    def __init__(self, codes=START):
        middles = np.array(GROUPS)[np.arange(NUM_POINTS) % len(GROUPS)]
        self.points = np.round(middles + SPREAD * noise.normal(7, NUM_POINTS, 2), 4)
        controls = {
            f"{axis}_{k}": Slider(f"{axis} of code {k + 1}", -END, END, STEP, start, key=0.1, hidden=True)
            for k, code in enumerate(codes)
            for axis, start in zip("xy", code, strict=True)
        }
        super().__init__(
            "codebook",
            controls,
            {"points": self.points.ravel().tolist(), "colours": NAMES, "end": END},
            alt="Three clouds of points on a plane, six codes that can be dragged, and the borders of their cells; "
            "bars of how often each code is used.",
        )

    def compute(self, **values):
        codes = np.array([[values[f"x_{k}"], values[f"y_{k}"]] for k in range(len(NAMES))])
        share = shares(self.points, codes)
        return {
            "codes": codes,
            "chosen": nearest(self.points, codes),
            "share": share,
            "distortion": distortion(self.points, codes),
            "bits": entropy_bits(share),
            "perplexity": 2.0 ** entropy_bits(share),
            "dead": int(np.sum(share == 0)),
            "next": lloyd_step(self.points, codes),
        }

    def draw(self, now, values):
        figure, (plane, bars) = plt.subplots(1, 2, figsize=(9.5, 4.4), width_ratios=[1.4, 1])
        grid = np.linspace(-END, END, 400)
        cells = nearest(np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2), now["codes"]).reshape(400, 400)
        for k, name in enumerate(NAMES):
            plane.contour(grid, grid, cells == k, [0.5], colors=COLOURS["grey"], linewidths=0.6)
            plane.plot(*self.points[now["chosen"] == k].T, ".", color=COLOURS[name], markersize=4)
            plane.plot(*now["codes"][k], "o", color=COLOURS[name], markeredgecolor="black", markersize=10)
        plane.set(xlim=(-END, END), ylim=(-END, END), aspect="equal")
        plane.set_title(f"distortion {now['distortion']:.3f}")
        bars.bar(np.arange(len(NAMES)) + 1, now["share"], color=[COLOURS[name] for name in NAMES])
        bars.set(ylim=(0, 0.6), xlabel="code", ylabel="share of the points")
        bars.set_title(f"perplexity {now['perplexity']:.2f}")
        return figure
