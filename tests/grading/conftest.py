"""One test for each row of an assignment's table of answers; the student versions, built once."""

import pytest
from answers import classroom


def pytest_generate_tests(metafunc):
    for name in ("wrong", "right"):
        if name in metafunc.fixturenames:
            marks = [pytest.mark.slow] if metafunc.cls.slow else []
            rows = [pytest.param(row, id=row.name, marks=marks) for row in getattr(metafunc.cls, name)]
            metafunc.parametrize(name, rows)


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the marks
def pytest_collection_modifyitems(items):
    """What needs many notebooks graded in kernels is slow."""
    for item in items:
        if {"trouble", "graded"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def release(tmp_path_factory):
    """The folder of the student versions."""
    folder = tmp_path_factory.mktemp("release")
    run = classroom("release", "--output", folder)
    assert run.returncode == 0, run.stderr
    return folder / "release"
