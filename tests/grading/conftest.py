"""One test for each row of an assignment's table of answers."""


def pytest_generate_tests(metafunc):
    for name in ("wrong", "right"):
        if name in metafunc.fixturenames:
            rows = getattr(metafunc.cls, name)
            metafunc.parametrize(name, rows, ids=[row.name for row in rows])
