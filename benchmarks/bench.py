"""`make bench`: what training and exploring cost, ours beside what people would use instead.

Every number is a ratio within one run, for a ratio travels to another machine and a second does not. Prints tables,
writes build/bench.json and the pictures build/bench.png and build/growth.png. Peers that are not installed are named;
`pip install -e ".[bench]"` brings them.

    python benchmarks/bench.py [--rounds 5] [--only epoch growth target players slider] [--names ...] [--output build]
"""

import argparse
import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

import vaelib
import numpy as np
from contenders import CONTENDERS, OURS, Setting
from growth import growth
from race import race


def load_images(num_examples):
    """Return float32 images (num_examples, 28, 28), and in words which they are."""
    mnist = vaelib.load_mnist()
    if len(mnist.x_train) >= num_examples:
        return mnist.x_train[:num_examples], str(mnist.source)
    noise = np.random.default_rng(0).random((num_examples, 28, 28), dtype="float32")
    return noise, "random pixels of MNIST's shape, which cost the same (MNIST is not at hand)"


def print_race(title, results):
    """Print one line per contender, the fastest first, its ratio to ours, and what is missing."""
    print(f"\n{title:<42}{'ratio':>7}{'median s':>10}{'fastest':>10}")
    ran = {name: row for name, row in results.items() if "seconds" in row}
    ours = ran[OURS]["seconds"] if OURS in ran else float("nan")
    for name, row in sorted(ran.items(), key=lambda item: item[1]["seconds"]):
        print(f"{name:<42}{row['seconds'] / ours:>7.2f}{row['seconds']:>10.3f}{row['fastest']:>10.3f}")
    for name, row in results.items():
        if "missing" in row:
            print(f"{name:<42}missing: {row['missing']}")


def one_epoch(path, setting, rounds, names):
    """Race all contenders over one setting."""
    results = race(path, setting, rounds, names)
    title = f"one epoch of {setting.num_examples:,}, batch {setting.batch_size}, {setting.units} units"
    print_race(title, results)
    return {"setting": dataclasses.asdict(setting), "results": results}


def _growth(path, setting, rounds, names):
    return growth(path, rounds, names, show=print_race)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender that count")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="parts of the benchmark")
    parser.add_argument("--names", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="contenders")
    parser.add_argument("--num-examples", type=int, default=60_000, help="images in the race")
    parser.add_argument("--epochs", type=int, default=3, help="epochs in one turn")
    parser.add_argument("--output", type=Path, default=Path("build"), help="folder of bench.json and bench.png")
    options = parser.parse_args(argv)
    x, which = load_images(options.num_examples)
    print(f"{which}\n{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {sys.version.split()[0]}")
    found = {name: _version(name) for name in ("tensorflow", "tensorflow-cpu", "keras", "torch", "jax", "numpy")}
    report = {"data": which, "cores": os.cpu_count(), "machine": platform.machine(), "versions": found}
    setting = Setting(num_examples=options.num_examples, epochs=options.epochs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.npy")
        np.save(path, x)
        for name in options.only:
            report[name] = SECTIONS[name](path, setting, options.rounds, options.names)
    options.output.mkdir(parents=True, exist_ok=True)
    target = options.output / "bench.json"
    target.write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(f"\nwritten: {target}")
    if {"epoch", "growth"} & set(options.only):
        from picture import draw

        print(*(f"written: {path}" for path in draw(report, options.output)), sep="\n")


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _target(path, setting, rounds, names):
    from target import time_to_target

    return time_to_target()


def _slider(path, setting, rounds, names):
    from slider_frame import measure

    return measure()


def _players(path, setting, rounds, names):
    from two_players import measure

    return measure(rounds)


SECTIONS = {"epoch": one_epoch, "growth": _growth, "target": _target, "players": _players, "slider": _slider}

if __name__ == "__main__":
    main()
