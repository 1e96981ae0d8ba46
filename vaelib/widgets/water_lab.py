"""The lab of notebook 16: water over the eigen-digits; what stands above it is coded, what lies below is lost."""

import matplotlib.pyplot as plt
import numpy as np

from vaelib import checks
from vaelib.teaching.palette import COLOURS
from vaelib.theory.rates import reverse_water_filling
from vaelib.widgets.controls import Drawing, Menu, Slider
from vaelib.widgets.lab import Lab, packed
from vaelib.widgets.strokes import RADIUS, SIDE, strokes_of, to_image
from vaelib.widgets.your_digit_lab import OWN, THREE

# One meaning per colour, here and in the notebook.
RATE, ERROR, DARK, WATER = COLOURS["blue"], COLOURS["orange"], COLOURS["grey"], COLOURS["sky"]

LOWEST = 0.1  # where the water can fall to: what lies below it is never coded, and needs no eigen-digit
MOST = 75  # eigen-digits that a page can carry
GREYS = 127  # steps of grey on each side of an eigen-digit's zero
NUM_LEVELS = 80  # places of the curve


class WaterLab(Lab):
    """The lab: drag the water over the variances of the eigen-digits, or the point along the rate-distortion curve.

    A direction whose variance λ stands above the water θ is coded with ½ log(λ/θ) nats and comes back with the squared
    error θ; one below is lost whole. A digit, drawn or chosen, is decoded from the mean of q and from a draw of it.

    Args:
        mean: the mean digit, shape (784,), pixels in [0, 1].
        variances: of the principal directions, falling, shape (784,).
        directions: the eigen-digits, columns of length 1, shape (784, 784).
        examples: digits to choose from beside the drawn one, by name, each of 28 x 28 pixels in [0, 1].
        level: where the water stands at the start.
    Raises:
        ValueError: shapes that do not fit, variances that do not fall, none or over 75 of them above 0.1, or a level
            that its control cannot take.
    """

    def __init__(self, mean, variances, directions, examples, level=1.0):
        mean, variances = checks.real_array("mean", mean), checks.real_array("variances", variances)
        directions, pixels = checks.real_array("directions", directions), SIDE**2
        if mean.shape != (pixels,) or variances.shape != (pixels,) or directions.shape != (pixels, pixels):
            raise ValueError(
                f"mean and variances must have shape ({pixels},) and directions ({pixels}, {pixels}); received "
                f"{mean.shape}, {variances.shape} and {directions.shape}."
            )
        count = int(np.sum(variances > LOWEST))
        if np.any(np.diff(variances) > 0) or not 1 <= count <= MOST:
            raise ValueError(
                f"variances must fall, with 1 to {MOST} of them above {LOWEST}; received {count} above it, the first "
                f"{variances[0]:g}."
            )
        self.variances, self.rest = variances[:count], float(np.maximum(variances[count:], 0).sum())
        # What the page shows is what Python computes with: the mean and the eigen-digits in steps of grey.
        grey_mean, self.peaks = np.round(255 * mean), np.abs(directions[:, :count]).max(axis=0)
        greys = np.round(GREYS * directions[:, :count] / self.peaks).T + GREYS + 1
        self.mean, self.directions = grey_mean / 255, self.peaks[:, None] * (greys - GREYS - 1) / GREYS
        grey_examples = {name: np.round(255 * np.asarray(x, float)).ravel() for name, x in examples.items()}
        self.examples = {name: x / 255 for name, x in grey_examples.items()}
        self.noise = np.round(np.random.default_rng(0).standard_normal(count), 6)  # one draw, the same at all levels
        highest = float(np.ceil(10 * variances[0]) / 10)
        self.levels = np.round(np.geomspace(LOWEST, highest, NUM_LEVELS), 6)
        data = {
            "own": OWN,
            "radius": RADIUS,
            "mean": packed(grey_mean.astype(np.uint8)),
            "directions": packed(greys.astype(np.uint8)),
            "peaks": packed(self.peaks),
            "variances": packed(self.variances),
            "rest": self.rest,
            "noise": self.noise.tolist(),
            "levels": self.levels.tolist(),
            "examples": {name: packed(x.astype(np.uint8)) for name, x in grey_examples.items()},
        }
        controls = {
            "level": Slider("θ, the water level", LOWEST, highest, 0.01, level, key=0.05),
            "image": Menu("the digit", (OWN, *self.examples)),
            "drawing": Drawing("your drawing", THREE),
        }
        super().__init__(
            "water",
            controls,
            data,
            alt="Variances of the eigen-digits as bars, with water over them; the rate-distortion curve; a digit "
            "decoded from the mean of q and from a draw, and the weakest eigen-digit that is coded.",
        )

    def pixels(self, image, drawing):
        """Return the digit, shape (784,), pixels in [0, 1]."""
        if image != OWN:
            return self.examples[image]
        return np.round(255 * to_image(strokes_of(drawing)).ravel().astype(float)) / 255

    def compute(self, level, image, drawing):
        x, variances = self.pixels(image, drawing), self.variances
        water = reverse_water_filling(variances, level)
        alive, projected = variances > level, self.directions @ (x - self.mean)
        kept = np.where(alive, 1 - level / variances, 0.0)
        rebuilt = self.mean + (kept * projected) @ self.directions
        drawn = rebuilt + (np.sqrt(kept * level) * self.noise) @ self.directions
        along = [reverse_water_filling(variances, at) for at in self.levels]
        return {
            "alive": float(water.num_active),
            "rates": water.rates,
            "errors": water.errors,
            "rate": water.rate,
            "error": water.error + self.rest,
            "pixels": x,
            "rebuilt": rebuilt,
            "drawn": drawn,
            "missed": float(np.sum((x - drawn) ** 2)),
            "curve_rates": np.array([each.rate for each in along]),
            "curve_errors": np.array([each.error + self.rest for each in along]),
        }

    def draw(self, now, values):
        figure = plt.figure(figsize=(9.5, 5.6))
        top, below = figure.add_gridspec(2, 1, height_ratios=[1.5, 1])
        top, below = top.subgridspec(1, 2, width_ratios=[1.9, 1]), below.subgridspec(1, 4)
        bars, curve = figure.add_subplot(top[0]), figure.add_subplot(top[1])
        level, number = values["level"], np.arange(1, len(self.variances) + 1)
        floor, alive = 0.8 * LOWEST, now["rates"] > 0
        bars.axhspan(floor, level, color=WATER, alpha=0.2, lw=0)
        colours = np.where(alive, ERROR, DARK)
        bars.bar(number, now["errors"] - floor, bottom=floor, color=colours, width=0.8)
        bars.bar(number[alive], (self.variances - level)[alive], bottom=level, color=RATE, width=0.8)
        bars.axhline(level, color=WATER)
        bars.set(yscale="log", ylim=(floor, 1.3 * self.levels[-1]), xlabel="eigen-digit", ylabel="variance λ")
        bars.set_title(f"θ = {level:.2f}: {now['alive']:.0f} stand above the water")
        curve.plot(now["curve_rates"], now["curve_errors"], color=COLOURS["black"])
        curve.plot(now["rate"], now["error"], "o", color=RATE)
        curve.set(xlabel="rate, nats", ylabel="squared error", title="rate and distortion", ylim=(0, None))
        titles = ("the digit", "from the mean of q", "from a draw of q", "the weakest that is coded")
        weakest = self.weakest(now)
        pictures = (now["pixels"], now["rebuilt"], now["drawn"], weakest)
        for i, (title, picture) in enumerate(zip(titles, pictures, strict=True)):
            ax = figure.add_subplot(below[i])
            ax.imshow(np.clip(picture, 0, 1).reshape(SIDE, SIDE), vmin=0, vmax=1, cmap="gray")
            ax.set(xticks=[], yticks=[])
            ax.set_title(title, fontsize=9)
        return figure

    def weakest(self, now):
        """Return the eigen-digit of the smallest variance above the water as greys from 0 to 1; all ½ where none is."""
        if not now["alive"]:
            return np.full(SIDE**2, 0.5)
        last = int(now["alive"]) - 1
        return 0.5 + 0.5 * self.directions[last] / self.peaks[last]
