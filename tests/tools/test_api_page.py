"""The library's page: every public name, called as Python calls it, in the words of its docstring."""

import html
import inspect
import re

import pytest

import vaelib
from vaelib.tools.site import api

SHOWN = {name.path: name for group in api.groups() for name in group.names}
PUBLIC = [name for name in vaelib.__all__ if not inspect.ismodule(getattr(vaelib, name))]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there_as_it_is_called(name):
    shown, value = SHOWN[f"vaelib.{name}"], getattr(vaelib, name)
    for parameter in inspect.signature(value).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue  # a class that only inherits them does not write them down
        assert parameter.name in shown.signature
        if isinstance(parameter.default, bool | int | float | str):
            assert f"{parameter.name}={parameter.default!r}".replace('"', "'") in shown.signature.replace('"', "'")
    (first, *_) = shown.parts
    said = html.unescape(re.sub(r"</?code>", "", first.paragraphs[0]))
    assert said == " ".join(inspect.getdoc(value).split("\n\n")[0].replace("`", "").split())


def test_what_a_class_offers_stands_below_it():
    members = {member.short for member in SHOWN["vaelib.VAE"].members}
    assert {"fit", "compile", "elbo", "log_evidence", "generate"} <= members
    assert not any(member.short.startswith("_") for name in SHOWN.values() for member in name.members)
    normal = {member.short for member in SHOWN["vaelib.DiagonalNormal"].members}
    assert "sample" in normal and "sample_and_log_prob" not in normal, "that is Distribution's, which has its own place"


def test_arguments_and_errors_are_lists_and_code_is_marked():
    parts = {part.heading: part for part in SHOWN["vaelib.load"].parts}
    assert parts["Takes"].items[0][0] == "path" and "<code>.keras</code>" in parts["Takes"].items[0][1]
    assert {label for label, _ in parts["Raises"].items} == {"FileNotFoundError", "ValueError"}


def test_marks_of_html_stay_text():
    shown = [text for name in SHOWN.values() for part in name.parts for text in part.paragraphs]
    assert all("<" not in text.replace("<code>", "").replace("</code>", "") for text in shown)


def test_the_search_finds_every_name():
    assert {entry.title for entry in api.entries()} == set(SHOWN)
