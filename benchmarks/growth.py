"""How the cost of an epoch grows: one size is changed at a time, the others stay."""

import dataclasses
import math

import numpy as np
from contenders import OURS, Setting
from race import race

GROWING = [OURS, "JAX, scanned epoch", "PyTorch, eager", "Keras fit"]
DENSE = Setting(num_examples=20_000, epochs=1)
CONVOLUTIONAL = Setting(num_examples=3_000, epochs=1, filters=16)
# network -> (where it starts from, what is changed -> its values)
FIELDS = {
    "dense": (
        DENSE,
        {
            "batch_size": (32, 100, 320, 1024),
            "units": (50, 200, 800),
            "depth": (1, 2, 4),
            "latent_dim": (2, 20, 200),
            "num_samples": (1, 5, 25),
            "num_examples": (6_000, 20_000, 60_000),
        },
    ),
    "convolutional": (
        CONVOLUTIONAL,
        {
            "batch_size": (32, 100, 320),
            "filters": (8, 16, 32),
            "latent_dim": (2, 20, 200),
            "num_samples": (1, 5),
            "num_examples": (1_000, 3_000, 9_000),
        },
    ),
}
# A turn takes at least so many, for its clock: a small size goes through the data several times.
LEAST_STEPS = 30


def growth(path, rounds, names, show, fields=FIELDS):
    """Race over every size of every field.

    Args:
        path: a .npy file of float32 images, (n, 28, 28).
        rounds: turns of each contender that count.
        names: contenders; those that are not in GROWING stay out.
        show: called with a title and the results of each race.
        fields: as FIELDS.

    Returns:
        {"races": list of {"network", "changed", "setting", "results"}, "exponents": as `exponents` gives them}.
    """
    available = len(np.load(path, mmap_mode="r"))
    races, known = [], {}
    for network, (start, values_of) in fields.items():
        for field, values in values_of.items():
            for value in values:
                setting = dataclasses.replace(start, **{field: value})
                if setting.num_examples > available:
                    continue
                steps = setting.num_examples / setting.batch_size
                setting = dataclasses.replace(setting, epochs=max(1, math.ceil(LEAST_STEPS / steps)))
                if setting not in known:  # every field passes through the start
                    known[setting] = race(path, setting, rounds, [name for name in GROWING if name in names])
                    show(f"{network}, {field.replace('_', ' ')} {value:,}", known[setting])
                row = {"network": network, "changed": field, "setting": dataclasses.asdict(setting)}
                races.append({**row, "results": known[setting]})
    fitted = exponents(races)
    print_exponents(fitted)
    return {"races": races, "exponents": fitted}


def exponents(races):
    """Fit seconds per epoch = a * size ** b by least squares over the logarithms, for each field and contender.

    Returns:
        List of {"network", "changed", "name", "exponent"}, over the whole range of sizes that was raced.
    """
    rows = []
    for network, field in dict.fromkeys((row["network"], row["changed"]) for row in races):
        some = [row for row in races if (row["network"], row["changed"]) == (network, field)]
        for name in GROWING:
            points = [
                (row["setting"][field], row["results"][name]["seconds"])
                for row in some
                if "seconds" in row["results"].get(name, {})
            ]
            if len(points) > 1:
                slope = np.polyfit(*np.log(np.array(points, float)).T, 1)[0]
                rows.append({"network": network, "changed": field, "name": name, "exponent": float(slope)})
    return rows


def print_exponents(rows):
    """Print the exponents, a line for each size that was changed."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    print("\nseconds per epoch grow as size ** b".ljust(43) + "".join(f"{name:>20}" for name in names))
    for network, field in dict.fromkeys((row["network"], row["changed"]) for row in rows):
        of = {row["name"]: row["exponent"] for row in rows if (row["network"], row["changed"]) == (network, field)}
        cells = "".join(f"{of[name]:>20.2f}" if name in of else f"{'':>20}" for name in names)
        print(f"{network + ', ' + field.replace('_', ' '):<42}{cells}")
