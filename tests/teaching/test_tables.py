"""A table in text and in HTML."""

import pytest

from vaelib.teaching.tables import Table


def test_a_table_is_aligned_in_text_and_a_table_on_a_page():
    table = Table(["model", "ELBO"], [["base", "-104.2"], ["a < b", "-9.0"]])
    assert repr(table).splitlines() == ["model    ELBO", "base   -104.2", "a < b    -9.0"]
    page = table._repr_html_()
    assert page.count("<tr>") == 3 and '<th scope="row">a &lt; b</th><td>-9.0</td>' in page
    with pytest.raises(ValueError, match=r"each row must have 2 texts; received \[1\]"):
        Table(["model", "ELBO"], [["base"]])
