"""What one slider move costs the kernel: ours against what people write first.

Run it with `python benchmarks/slider_frame.py`. A ratio travels from machine to machine, a millisecond does not.
"""

import io
import statistics
import sys
import time
import types
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from vaelib import Normal, dense_decoder
from vaelib.widgets import latent_sliders
from vaelib.pretrained.networks import normal_mean

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from test_explore_lab import gaussian_lab  # the complete example lab


def milliseconds(frame, count):
    """Return the median time of frame(i) over count different positions, after one to warm up."""
    frame(0)
    times = []
    for i in range(1, count + 1):
        begin = time.perf_counter()
        frame(i)
        times.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(times)


def mover(panel, name):
    """Return a function that moves one slider: picture, PNG, readout and the messages to the page."""
    control = panel.controls[name]

    def move(i):
        share = (i * 0.37) % 1  # never the same value twice in a row
        control.value = control.min + share * (control.max - control.min)

    return move


def new_figure(image):
    """Draw one image from scratch, as a callback with plt.subplots does."""
    figure, ax = plt.subplots()
    ax.imshow(image, cmap="gray", vmin=0, vmax=1)
    figure.savefig(io.BytesIO(), format="png")
    plt.close(figure)


def measure():
    """Print both tables and return their milliseconds."""
    likelihood = Normal((28, 20))
    decoder = dense_decoder(2, likelihood.params_size)
    sliders = latent_sliders(types.SimpleNamespace(decoder=decoder, likelihood=likelihood), names=("pose", "humour"))

    def predicted(i):
        params = decoder.predict(np.array([[0.01 * i, 0.0]], "float32"), verbose=0)
        return normal_mean(params).reshape(28, 20)

    decoder_rows = {
        "latent sliders": milliseconds(mover(sliders, "pose"), 300),
        "  forward pass of it": milliseconds(lambda i: sliders.decode(np.array([[0.01 * i, 0.0]])), 300),
        "model.predict alone": milliseconds(predicted, 20),
        "model.predict + a new figure": milliseconds(lambda i: new_figure(predicted(i)), 20),
    }
    report("one frame of a 2-200-560 decoder", decoder_rows, decoder_rows["latent sliders"])

    lab, scratch = gaussian_lab(), gaussian_lab()
    for artist in scratch.moving:
        artist.set_animated(False)

    def redraw(i):
        scratch.update(mu=0.01 * i, log_var=0.0)
        scratch.figure.savefig(io.BytesIO(), format="png")

    lab_rows = {"Lab": milliseconds(mover(lab, "mu"), 60), "the whole figure drawn again": milliseconds(redraw, 10)}
    report("one frame of a lab, three axes", lab_rows, lab_rows["Lab"])
    return {"decoder": decoder_rows, "lab": lab_rows}


def report(title, rows, ours):
    """Print one line per way, its milliseconds and how many of our frames fit in."""
    print(f"\n{title:34s} {'ms':>8s} {'ratio':>8s}")
    for name, value in rows.items():
        print(f"{name:34s} {value:8.3f} {value / ours:8.2f}")


if __name__ == "__main__":
    measure()
