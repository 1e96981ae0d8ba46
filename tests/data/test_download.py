"""Where data comes from: folder, cache, download, stand-in; and what damaged files and broken mirrors get."""

import contextlib
import dataclasses
import errno
import functools
import hashlib
import io
import os
import pickle
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from vaelib.data import DataError, Source, download
from vaelib.data.download import Dataset, Expected, Mirror, find
from vaelib.mime import DATA_MIME

DIGITS = np.random.default_rng(0).integers(0, 256, (50, 6, 4)).astype(np.uint8)
EXPECTED = {"x": Expected(DIGITS.shape, hashlib.sha256(DIGITS.tobytes()).hexdigest())}


def read(paths):
    with open(paths[0], "rb") as opened, np.load(opened, allow_pickle=False) as file:
        return dict(file)


def read_halves(paths):
    """A mirror that keeps the same array in two files of another format."""
    return {"x": np.concatenate([np.load(path, allow_pickle=False) for path in paths])}


def write(arrays, path):
    np.savez(path, **arrays)


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


GOOD = npz(x=DIGITS)
BAD_FILES = {
    "cut off": (GOOD[: len(GOOD) // 2], "cannot be read"),
    "empty": (b"", "cannot be read"),
    "a web page": (b"<html>Please log in</html>", "cannot be read"),
    "one array": (npy(DIGITS), "cannot be read"),
    "wrong key": (npz(y=DIGITS), "x is missing; the file holds y"),
    "wrong shape": (npz(x=DIGITS[:-1]), r"x must be uint8 \(50, 6, 4\); received uint8 \(49, 6, 4\)"),
    "wrong dtype": (npz(x=DIGITS.astype("float32")), r"x must be uint8 .* received float32"),
    "wrong content": (npz(x=DIGITS[::-1]), f"expected SHA-256 {EXPECTED['x'].sha256}"),
}


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    monkeypatch.delenv("VAELIB_DATA", raising=False)
    monkeypatch.delenv("VAELIB_OFFLINE", raising=False)
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "_failed", {})


@pytest.fixture
def server():
    """A web server on this machine: `pages` maps a path to bytes, a status, or a function of the handler."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            page = self.server.pages.get(self.path, 404)
            if callable(page):
                return page(self)
            self.send_response(page if isinstance(page, int) else 200)
            body = b"" if isinstance(page, int) else page
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.asked = {}, []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def dataset(*mirrors):
    return Dataset("Digits", "digits.npz", read, write, EXPECTED, mirrors)


def cache_content():
    cache = Path(os.environ["VAELIB_CACHE"])
    return sorted(path.name for path in cache.iterdir()) if cache.is_dir() else []


def closed_port():
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.server_close()
    return f"http://127.0.0.1:{server.server_port}"


def test_the_folder_comes_first_then_the_cache_then_the_download(server, monkeypatch, tmp_path):
    server.pages["/a"] = GOOD
    digits = dataset(Mirror((server.url + "/a",), read))
    arrays, origin, _ = find(digits)
    assert origin == "downloaded from 127.0.0.1" and np.array_equal(arrays["x"], DIGITS)
    arrays, origin, _ = find(digits)
    assert origin == "from the cache" and np.array_equal(arrays["x"], DIGITS)
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv("VAELIB_DATA", str(folder))
    assert find(digits)[1] == "from the cache"  # the folder does not have this file
    (folder / "digits.npz").write_bytes(GOOD)
    assert find(digits)[1] == "from the VAELIB_DATA folder"
    assert server.asked == ["/a"] and cache_content() == ["digits.npz"]


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_in_the_folder_is_an_error_that_names_it(kind, monkeypatch, tmp_path):
    content, message = BAD_FILES[kind]
    (tmp_path / "digits.npz").write_bytes(content)
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path))
    with pytest.raises(DataError, match=message) as error:
        find(dataset())
    assert str(tmp_path / "digits.npz") in str(error.value) and "Replace the file" in str(error.value)
    assert (tmp_path / "digits.npz").read_bytes() == content
    assert issubclass(DataError, ValueError)


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_mirror_is_passed_over(kind, server):
    server.pages.update({"/bad": BAD_FILES[kind][0], "/good": GOOD})
    digits = dataset(*(Mirror((server.url + page,), read) for page in ("/missing", "/bad", "/good")))
    arrays, origin, _ = find(digits)
    assert server.asked == ["/missing", "/bad", "/good"] and np.array_equal(arrays["x"], DIGITS)
    assert cache_content() == ["digits.npz"] and find(digits)[1] == "from the cache"


@pytest.mark.parametrize("kind", BAD_FILES)
def test_only_bad_mirrors_leave_nothing_in_the_cache(kind, server):
    server.pages["/bad"] = BAD_FILES[kind][0]
    arrays, _, reason = find(dataset(Mirror((server.url + "/bad",), read)))
    assert arrays is None and reason.startswith("no mirror brought it (127.0.0.1: ")
    assert cache_content() == []


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_in_the_cache_is_fetched_again(kind, server, tmp_path, capsys):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "digits.npz").write_bytes(BAD_FILES[kind][0])
    server.pages["/a"] = GOOD
    digits = dataset(Mirror((server.url + "/a",), read))
    assert find(digits)[1] == "downloaded from 127.0.0.1"
    told = capsys.readouterr().out
    assert "digits.npz in the cache is not used" in told and str(tmp_path) not in told
    assert find(digits)[1] == "from the cache" and server.asked == ["/a"]


def test_a_connection_that_breaks_in_the_middle_is_passed_over(server):
    def breaks(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(GOOD)))
        handler.end_headers()
        handler.wfile.write(GOOD[:100])

    server.pages.update({"/breaks": breaks, "/good": GOOD})
    digits = dataset(Mirror((server.url + "/breaks",), read), Mirror((server.url + "/good",), read))
    assert np.array_equal(find(digits)[0]["x"], DIGITS) and cache_content() == ["digits.npz"]


def test_a_mirror_in_another_format_is_converted_for_the_cache(server):
    server.pages.update({"/1": npy(DIGITS[:20]), "/2": npy(DIGITS[20:])})
    digits = dataset(Mirror((server.url + "/1", server.url + "/2"), read_halves))
    assert np.array_equal(find(digits)[0]["x"], DIGITS)
    arrays, origin, _ = find(digits)
    assert origin == "from the cache" and np.array_equal(arrays["x"], DIGITS)
    assert cache_content() == ["digits.npz"]


def test_the_cache_gets_the_file_in_one_step_and_only_after_it_was_checked(server, tmp_path, monkeypatch):
    seen, moved, replace = [], [], os.replace

    def watching(paths):
        seen.append((tmp_path / "cache" / "digits.npz").exists())
        return read(paths)

    def move(source, target):
        moved.append((Path(source), Path(target)))
        replace(source, target)

    server.pages["/a"] = GOOD
    monkeypatch.setattr(download.os, "replace", move)
    find(dataset(Mirror((server.url + "/a",), watching)))
    assert seen == [False] and cache_content() == ["digits.npz"]
    ((source, target),) = moved
    assert tmp_path / "cache" in source.parents  # on the cache's file system, where a move is one step
    assert target == tmp_path / "cache" / "digits.npz"


TWO_AT_ONCE = """
import sys
sys.path.insert(0, {tests!r})
import test_download as t
t.download.PATIENCE_SECONDS = (60, 60)
arrays, origin, reason = t.find(t.dataset(t.Mirror(("{url}/a",), t.read)))
print(origin or reason, t.np.array_equal(arrays["x"], t.DIGITS))
"""


def test_two_processes_that_fetch_at_once_both_succeed(server):
    both_asked = threading.Barrier(2)

    def together(handler):
        both_asked.wait(60)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(GOOD[:200])
        handler.wfile.flush()
        both_asked.wait(60)
        handler.wfile.write(GOOD[200:])

    server.pages["/a"] = together
    code = TWO_AT_ONCE.format(tests=str(Path(__file__).parent), url=server.url)
    start = functools.partial(subprocess.Popen, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    processes = [start([sys.executable, "-c", code]) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert answers == ["downloaded from 127.0.0.1 True"] * 2
    assert cache_content() == ["digits.npz"]
    assert (Path(os.environ["VAELIB_CACHE"]) / "digits.npz").read_bytes() == GOOD


def test_a_cache_that_cannot_be_made_still_gives_the_data(server, monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("VAELIB_CACHE", str(tmp_path / "file" / "cache"))
    server.pages["/a"] = GOOD
    arrays, origin, _ = find(dataset(Mirror((server.url + "/a",), read)))
    assert np.array_equal(arrays["x"], DIGITS) and origin == "downloaded from 127.0.0.1"
    assert "not kept in the cache" in (told := capsys.readouterr().out) and str(tmp_path) not in told


def test_a_cache_that_cannot_be_written_still_gives_the_data(server, monkeypatch, capsys):
    def refuse(source, target):
        raise PermissionError(13, "Permission denied", str(target))

    server.pages["/a"] = GOOD
    monkeypatch.setattr(download.os, "replace", refuse)
    arrays, _, _ = find(dataset(Mirror((server.url + "/a",), read)))
    assert np.array_equal(arrays["x"], DIGITS) and cache_content() == []
    assert "not kept in the cache: Permission denied" in capsys.readouterr().out


def test_without_network_the_reason_is_given_once_asked_and_remembered(server):
    digits = dataset(Mirror((closed_port() + "/a",), read))
    arrays, _, reason = find(digits)
    assert arrays is None and reason == "no mirror brought it (127.0.0.1: ConnectionError)"
    server.pages["/a"] = GOOD
    digits = dataclasses.replace(digits, mirrors=(Mirror((server.url + "/a",), read),))
    arrays, _, reason = find(digits)
    assert arrays is None and "restart the kernel" in reason and server.asked == []


def test_a_name_lookup_that_hangs_is_not_waited_for(monkeypatch):
    import pooch

    release, ended = threading.Event(), []

    class Hangs:
        def __init__(self, **kwargs):
            pass

        def __call__(self, url, path, _):
            release.wait(60)
            ended.append(url)

    monkeypatch.setattr(pooch, "HTTPDownloader", Hangs)
    monkeypatch.setattr(download, "PATIENCE_SECONDS", (0.2, 0.1))
    arrays, _, reason = find(dataset(*(Mirror((f"http://{name}.invalid/a",), read) for name in "ab")))
    assert arrays is None and ended == []
    assert reason == "no mirror brought it (a.invalid: no answer; b.invalid: no answer)"
    release.set()


def test_the_whole_wait_without_network_is_a_few_seconds():
    first, others = download.PATIENCE_SECONDS
    assert first + 2 * others <= 6  # every data set has at most three mirrors


@pytest.mark.parametrize("value, asks", [("1", False), ("true", False), ("0", True), ("", True)])
def test_offline_means_that_no_mirror_is_asked(value, asks, server, monkeypatch):
    monkeypatch.setenv("VAELIB_OFFLINE", value)
    server.pages["/a"] = GOOD
    arrays, _, reason = find(dataset(Mirror((server.url + "/a",), read)))
    assert (server.asked == ["/a"]) is asks is (arrays is not None)
    assert ("VAELIB_OFFLINE" in reason) is not asks


def test_a_folder_that_is_not_there_or_no_folder_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "absent"))
    with pytest.raises(DataError, match="VAELIB_DATA must name a folder.*absent.*not there"):
        find(dataset())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path / "file"))
    with pytest.raises(DataError, match="VAELIB_DATA must name a folder.*a file"):
        find(dataset())


class Trap:
    """An object whose pickle, when loaded, makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("packed", ["npz of objects", "pickle"])
def test_no_pickle_is_ever_loaded(packed, monkeypatch, tmp_path):
    trap, trace = Trap(tmp_path / "sprung"), tmp_path / "sprung"
    content = pickle.dumps(trap) if packed == "pickle" else npz(x_train=np.array([trap], dtype=object))
    (tmp_path / "mnist.npz").write_bytes(content)
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path))
    from vaelib.data import load_mnist

    with pytest.raises(DataError, match="cannot be read"):
        load_mnist()
    assert not trace.exists()
    pickle.loads(pickle.dumps(trap))
    assert trace.exists()  # the trap works


def test_a_source_shows_one_line_and_carries_its_record():
    source = Source("MNIST", "from the VAELIB_DATA folder", False, "60,000 + 10,000 images")
    line = "Data: MNIST, 60,000 + 10,000 images, from the VAELIB_DATA folder"
    record = {"name": "MNIST", "origin": "from the VAELIB_DATA folder", "stand_in": False}
    assert source._repr_mimebundle_() == {"text/plain": line, DATA_MIME: record}
    assert str(source) == line
    with pytest.raises(dataclasses.FrozenInstanceError):
        source.stand_in = True


# What mirrors and disks can do ----------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(download, "STALL_SECONDS", 0.4)
    monkeypatch.setattr(download, "TELL_SECONDS", 0.1)
    monkeypatch.setattr(download, "PATIENCE_SECONDS", (30, 30))


def begins(handler, length=None):
    handler.send_response(200)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


@pytest.fixture
def drips():
    """A page that brings 1 kB ten times a second, of ten million bytes."""
    left = threading.Event()

    def page(handler):
        begins(handler, 10_000_000)
        with contextlib.suppress(OSError):
            while not left.wait(0.1):
                handler.wfile.write(b"x" * 1024)
                handler.wfile.flush()

    yield page
    left.set()


def test_a_mirror_that_drips_is_left_for_the_next_one(server, impatient, drips, capsys):
    server.pages.update({"/drips": drips, "/good": GOOD})
    digits = dataset(Mirror((server.url + "/drips",), read), Mirror((server.url + "/good",), read))
    assert np.array_equal(find(digits)[0]["x"], DIGITS) and server.asked == ["/drips", "/good"]
    assert re.search(r"^Downloading Digits from 127.0.0.1: 0\.0 of 10\.0 MB$", capsys.readouterr().out, re.MULTILINE)


def test_a_slow_mirror_alone_is_named_with_its_speed(server, impatient, drips):
    server.pages["/slow"] = drips
    arrays, _, reason = find(dataset(Mirror((server.url + "/slow",), read)))
    assert arrays is None and re.search(r"127.0.0.1: too slow, \d+\.\d kB a second", reason)


def test_a_body_without_end_is_cut_off(server, monkeypatch):
    sent = []

    def endless(handler):
        begins(handler)
        with contextlib.suppress(OSError):
            while len(sent) < 100_000:
                handler.wfile.write(b"x" * 10_000)
                sent.append(10_000)

    monkeypatch.setattr(download, "LARGEST_FILE", 50_000)
    server.pages.update({"/endless": endless, "/good": GOOD})
    digits = dataset(Mirror((server.url + "/endless",), read), Mirror((server.url + "/good",), read))
    assert np.array_equal(find(digits)[0]["x"], DIGITS)
    arrays, _, reason = find(dataclasses.replace(digits, name="other", file="o", mirrors=digits.mirrors[:1]))
    assert arrays is None and "the file is larger than 0 MB" in reason
    assert sum(sent) < 50_000_000


def test_a_full_disk_is_not_the_mirrors_fault(server, monkeypatch):
    def full(self, url, output_file, pooch):
        raise OSError(errno.ENOSPC, "No space left on device", output_file)

    import pooch

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", full)
    digits = dataset(*(Mirror((server.url + page,), read) for page in "ab"))
    arrays, _, reason = find(digits)
    assert arrays is None and reason.startswith("the download could not be written to ")
    assert reason.endswith(": No space left on device") and "127.0.0.1" not in reason


@pytest.mark.parametrize("variable", ["VAELIB_DATA", "VAELIB_CACHE"])
def test_a_home_of_nobody(variable, monkeypatch):
    monkeypatch.setenv(variable, "~nobody-of-this-name/data")
    with pytest.raises(DataError, match=f"^{variable} must name a folder; received '~nobody.*there is no such user"):
        find(dataset())


def test_a_file_that_may_not_be_read(monkeypatch, tmp_path):
    def refuse(paths):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "digits.npz").write_bytes(GOOD)
    monkeypatch.setenv("VAELIB_DATA", str(tmp_path))
    with pytest.raises(DataError, match="the file may not be read: permission denied") as error:
        find(dataclasses.replace(dataset(), read=refuse))
    assert "damaged" not in str(error.value)


def test_every_mirror_is_asked_over_https():
    from vaelib.data import frey_face, mnist

    urls = [url for known in (mnist.DATASET, frey_face.DATASET) for mirror in known.mirrors for url in mirror.urls]
    assert urls and all(url.startswith("https://") for url in urls)
