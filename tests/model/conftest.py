"""Fixtures that only the tests of the model need."""

import pytest
from gradients import double_precision


@pytest.fixture
def doubles():
    """Work in float64, where finite differences have digits to spare."""
    with double_precision():
        yield
