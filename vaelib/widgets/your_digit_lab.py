"""The reader's own digit in the small VAE of the theory lessons: its code, its log p(x), its posterior."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import logsumexp

from vaelib.teaching.palette import CLASS_COLOURS, COLOURS
from vaelib.theory.autoencoders import VariationalAutoencoder
from vaelib.theory.plane import forward_fit, reverse_fit
from vaelib.theory.quadrature import gauss_hermite
from vaelib.widgets.controls import Drawing, Menu
from vaelib.widgets.lab import Lab, packed
from vaelib.widgets.strokes import SMALL_RADIUS, SMALL_SIDE, strokes_of, to_small_image

OWN = "your drawing"
# Until the reader draws: a three of one stroke.
THREE = "2820351548105511671973306842584948504850605268587168677956884490338624753070"
VIEWS = ("code", "bound", "posterior")
# The grid of VariationalAutoencoder.log_evidence; and a finer one around the posterior, in its standard deviations.
COARSE = np.linspace(-6, 6, 151)
FINE, REACH = 41, 5.0
NARROWEST = 0.05  # of the finer grid's standard deviations
SAME = 1e-9  # nats: one of the other images may be this one
NODES = 8  # of the quadrature, per dimension
# One meaning per colour, as in the lessons.
Q, POSTERIOR, ELBO, GAP, FORWARD = (COLOURS[name] for name in ("blue", "green", "sky", "vermillion", "orange"))


class YourDigitLab(Lab):
    """The lab: draw a digit; the browser scales it to 8 x 8 pixels and shows what a small VAE makes of it.

    The drawing stays in the reader's browser from lesson to lesson.

    Args:
        vae: a VariationalAutoencoder of `vaelib.theory.autoencoders`, of 8 x 8 pixels and two latent dimensions.
        view: "code", q(z|x) among the codes of other images; "bound", log p(x) split into the ELBO and the gap, beside
            log p(x) of other images; "posterior", p(z|x) and the best normal in each direction of the KL.
        x, labels: the other images, shape (n, 64), pixels in [0, 1], and their classes from 0 to 9, shape (n,). The
            first of each class can be chosen in place of a drawing.

    Raises:
        TypeError: another model.
        ValueError: another size of image or code, an unknown view, or labels that are no classes.
    """

    def __init__(self, vae, view, x, labels):
        if not isinstance(vae, VariationalAutoencoder):
            raise TypeError(f"vae must be a VariationalAutoencoder; received {type(vae).__name__}.")
        if (vae.data_dim, vae.latent_dim) != (SMALL_SIDE**2, 2):
            raise ValueError(
                f"vae must have {SMALL_SIDE**2} pixels and 2 latent dimensions; it has {vae.data_dim} and "
                f"{vae.latent_dim}."
            )
        if view not in VIEWS:
            raise ValueError(f"view must be one of {list(VIEWS)}; received {view!r}.")
        x, labels = vae.check_x(x), np.asarray(labels)
        if labels.shape != (len(x),) or not np.isin(labels, np.arange(10)).all():
            raise ValueError(f"labels must be {len(x)} whole numbers from 0 to 9; received {labels!r}.")
        self.vae, self.view, self.labels = vae, view, labels
        self._coarse = None  # the decoder over the coarse grid, once it is asked for
        digits = np.unique(labels)
        self.examples = {f"a {digit}": x[np.flatnonzero(labels == digit)[0]] for digit in digits}
        self.codes, self.others = vae.encode(x), np.sort(vae.log_evidence(x)) if view == "bound" else np.zeros(0)
        names = list(self.examples)
        nodes, weights = gauss_hermite(2, NODES)
        data = {
            "view": view,
            "own": OWN,
            "radius": SMALL_RADIUS,
            "weights": [packed(array) for array in vae.weights],
            "nodes": {"nodes": packed(nodes), "weights": packed(weights)},
            "examples": {name: packed(image) for name, image in self.examples.items()},
            "codes": packed(self.codes.astype(np.float32)),  # to be drawn, not to be computed with
            "labels": packed(labels.astype(np.uint8)),
            "others": packed(self.others),
            "colours": CLASS_COLOURS,
        }
        about = {
            "code": "q(z|x) of the image among the codes of other images",
            "bound": "its log p(x), split into the ELBO and the gap, beside log p(x) of other images",
            "posterior": "its exact posterior and the best normal in each direction of the KL",
        }[view]
        super().__init__(
            "your_digit",
            {"image": Menu("the image", [OWN, *names]), "drawing": Drawing("your drawing", THREE)},
            data,
            alt=f"A digit to draw, as 8 by 8 pixels, what the VAE makes of it, and {about}.",
        )

    def pixels(self, image, drawing):
        """Return the image that the model sees, shape (64,), pixels in [0, 1]."""
        return to_small_image(strokes_of(drawing)).ravel() if image == OWN else self.examples[image]

    def compute(self, image, drawing):
        x = self.pixels(image, drawing)
        mu, log_var = self.vae.infer(x)
        now = {"pixels": x, "mu": mu, "sigma": np.exp(0.5 * log_var), "rebuilt": self.vae.decode(mu)}
        return now | getattr(self, f"_{self.view}")(x, mu, log_var)

    def _code(self, x, mu, log_var):
        return {}

    def _bound(self, x, mu, log_var):
        coarse, elbo = self._log_joint_on_coarse_grid(x), float(self.vae.elbo(x, mu, log_var))
        log_evidence = float(logsumexp(coarse)) + 2 * np.log(COARSE[1] - COARSE[0])
        below = int(np.searchsorted(self.others, log_evidence - SAME))
        return {"log_evidence": log_evidence, "elbo": elbo, "gap": log_evidence - elbo, "below": below}

    def _posterior(self, x, mu, log_var):
        coarse = self._log_joint_on_coarse_grid(x)
        mean, var = forward_fit(COARSE, COARSE, coarse)
        width = np.maximum(np.sqrt(var), NARROWEST)
        xs, ys = (np.linspace(m - REACH * w, m + REACH * w, FINE) for m, w in zip(mean, width, strict=True))
        log_p = self._log_joint(x, xs, ys)
        best_mean, best_var = reverse_fit(xs, ys, log_p, mean, width**2)
        log_evidence = float(logsumexp(coarse)) + 2 * np.log(COARSE[1] - COARSE[0])
        gaps = [
            log_evidence - float(self.vae.elbo(x, m, v))
            for m, v in ((mu, log_var), (mean, np.log(var)), (best_mean, np.log(best_var)))
        ]
        density = np.exp(log_p - log_evidence)
        return {
            "forward": np.concatenate([mean, np.sqrt(var)]),
            "reverse": np.concatenate([best_mean, np.sqrt(best_var)]),
            "gaps": np.array(gaps),
            "window": np.array([xs[0], xs[-1], ys[0], ys[-1]]),
            "density": density / density.max(),
        }

    def _log_joint_on_coarse_grid(self, x):
        """log p(x, z), shape (151, 151); log p(x|z) is linear in x, so the decoder runs once for all images."""
        if self._coarse is None:
            z = _points(COARSE, COARSE)
            logits = self.vae.logits(z)
            self._coarse = logits, self.vae.log_prior(z) - np.logaddexp(0.0, logits).sum(axis=-1)
        logits, constants = self._coarse
        return logits @ x + constants

    def _log_joint(self, x, xs, ys):
        """log p(x, z) over a grid, shape (len(xs), len(ys))."""
        return self.vae.log_joint(x, _points(xs, ys))

    def draw(self, now, values):
        figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), width_ratios=[1, 1, 2.2])
        for ax, name, title in zip(axes, ("pixels", "rebuilt"), ("as the model sees it", "rebuilt"), strict=False):
            ax.imshow(np.reshape(now[name], (SMALL_SIDE, SMALL_SIDE)), vmin=0, vmax=1, cmap="gray")
            ax.set(title=title, xticks=[], yticks=[])
        getattr(self, f"_draw_{self.view}")(axes[2], now)
        return figure

    def _draw_code(self, ax, now):
        for digit in np.unique(self.labels):
            ax.scatter(*self.codes[self.labels == digit].T, s=4, color=CLASS_COLOURS[digit], lw=0, label=str(digit))
        for k in (1, 2):
            _ellipse(ax, now["mu"], k * now["sigma"], color=COLOURS["black"])
        ax.legend(markerscale=3, ncols=2, loc="upper left", bbox_to_anchor=(1, 1))
        ax.set(title="q(z|x), 1 and 2 standard deviations", xlabel="$z_1$", ylabel="$z_2$", aspect="equal")

    def _draw_bound(self, ax, now):
        ax.hist(self.others, bins=40, color=COLOURS["grey"], alpha=0.6)
        ax.axvline(now["log_evidence"], color=COLOURS["black"], label="log p(x)")
        ax.axvline(now["elbo"], color=ELBO, label="ELBO")
        ax.set(title="among the other images", xlabel="log p(x), nats", ylabel="images")
        ax.legend()

    def _draw_posterior(self, ax, now):
        x0, x1, y0, y1 = now["window"]
        axes = np.linspace(x0, x1, FINE), np.linspace(y0, y1, FINE)
        ax.contour(*axes, now["density"].T, levels=LEVELS, colors=POSTERIOR)
        for fit, colour, name in ((now["forward"], FORWARD, "forward KL"), (now["reverse"], Q, "reverse KL")):
            for k in (1, 2):
                _ellipse(ax, fit[:2], k * fit[2:], color=colour, label=name if k == 1 else None)
        ax.set(title="p(z|x) and the best normals", xlabel="$z_1$", ylabel="$z_2$")
        ax.legend()


# Where a normal's density has fallen to at 1 and 2 standard deviations, as shares of its peak.
LEVELS = [float(np.exp(-2)), float(np.exp(-0.5))]


def _points(xs, ys):
    return np.stack(np.meshgrid(xs, ys, indexing="ij"), axis=-1)


def _ellipse(ax, centre, radii, **look):
    angle = np.linspace(0, 2 * np.pi, 100)
    ax.plot(centre[0] + radii[0] * np.cos(angle), centre[1] + radii[1] * np.sin(angle), **look)
