"""The library's public names as a page, from their docstrings; the package is read, not imported."""

import functools
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import griffe

from vaelib.tools.site.search import Entry, plain

PAGE, TITLE = "library", "The library"
PACKAGE = Path(__file__).parents[2]
# The modules that a reader uses, in the order of the page; each heads the names that are defined in it.
MODULES = {
    "model": (
        *("vae", "networks", "posteriors", "likelihoods", "priors", "flows", "transformed", "hierarchy", "discrete"),
        *("quantisation", "labels"),
        *("objectives", "score_function", "distributions", "evaluation"),
    ),
    "training": ("callbacks", "checkpoints"),
    "data": ("mnist", "frey_face", "synthetic_faces", "images", "download"),
    "pretrained": ("weights",),
    "widgets": ("latent_pad", "sliders", "draw_digit", "epoch_scrubber", "predict"),
    "teaching": ("claims",),
    "theory": (
        *("gaussian", "toy_models", "divergences", "families", "gradients", "quadrature", "plane", "autoencoders"),
        *("inference", "importance", "flows", "discrete", "hierarchy", "wake_sleep", "density_ratio", "four_points"),
        *("diffusion", "denoising"),
        *("labels", "quantisation", "counts", "rates", "disentanglement", "regression", "mcmc"),
    ),
}
HEADINGS = {
    "model": "The model",
    "training": "Training",
    "data": "Data",
    "pretrained": "Trained models",
    "widgets": "Explorers",
    "teaching": "Claims",
    "theory": "Exact answers",
}
_PATHS = {f"vaelib.{room}.{name}" for room, modules in MODULES.items() for name in modules}
_LISTS = {"parameters": "Takes", "attributes": "Holds", "returns": "Returns", "yields": "Yields", "raises": "Raises"}


@dataclass(frozen=True)
class Part:
    """One section of a docstring: its paragraphs, or a list of names with what each is, in HTML."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    items: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Name:
    """A function, a class or what a class offers: where it is found, how it is called, what its docstring says."""

    path: str
    signature: str
    parts: tuple[Part, ...]
    members: tuple["Name", ...] = ()

    @property
    def short(self) -> str:
        """The last word of its path."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True)
class Group:
    """The names of one module, with the first sentence of that module; a room's first one bears its heading."""

    room: str
    module: str
    summary: str
    names: tuple[Name, ...] = field(repr=False)


@functools.cache
def groups() -> tuple[Group, ...]:
    """Return the public names of the package, module by module."""
    package = griffe.load(
        "vaelib",
        search_paths=[PACKAGE.parent],
        docstring_parser="google",
        docstring_options={"warnings": False, "returns_named_value": False, "returns_multiple_items": False},
        resolve_aliases=True,
    )
    short = dict(_short_names(package))
    found = []
    for room, modules in MODULES.items():
        for n, module in enumerate(package[f"{room}.{name}"] for name in modules):
            heading = "" if n else HEADINGS[room]
            summary = _prose(module.docstring.value.split("\n\n")[0])
            found.append(Group(heading, module.path, summary, tuple(_names(module, short))))
    return tuple(found)


def _short_names(package: griffe.Object | griffe.Alias) -> Iterator[tuple[str, str]]:
    """Where each name of the package itself is defined, and that name."""
    for name, member in package.members.items():
        if isinstance(member, griffe.Alias) and member.target_path.startswith("vaelib."):
            target: griffe.Object | griffe.Alias = member.final_target
            if target.is_module and name in target.members:  # a function that its module is named after
                target = target.members[name]
            yield target.path, name


def entries() -> list[Entry]:
    """Return what the search finds on the page: one entry for each name."""
    return [
        Entry(f"{PAGE}.html#{name.path}", name.path, TITLE, " ".join(_text(name)))
        for group in groups()
        for name in group.names
    ]


def _text(name: Name) -> Iterator[str]:
    for part in name.parts:
        for paragraph in part.paragraphs:
            yield plain(paragraph)
    for member in name.members:
        yield member.short


def _names(module: griffe.Module, short: dict[str, str]) -> Iterator[Name]:
    for member in _documented(module.members):
        if member.is_class or member.is_function:
            path = f"vaelib.{short[member.path]}" if member.path in short else member.path
            members = _offered(member) if isinstance(member, griffe.Class) else ()
            yield _name(member, path, tuple(_name(each, f"{path}.{each.name}") for each in members))


def _documented(members: Mapping[str, griffe.Object | griffe.Alias]) -> Iterator[griffe.Object]:
    """What is defined here, is public and says what it is."""
    for name, member in members.items():
        if not (isinstance(member, griffe.Alias) or name.startswith("_") or member.docstring is None):
            yield member


def _offered(of_class: griffe.Class) -> Iterator[griffe.Object]:
    """What a class defines, and what it has from classes that are not on the page themselves."""
    yield from _documented(of_class.members)
    elsewhere = (member.final_target for member in of_class.inherited_members.values())
    yield from _documented({m.name: m for m in elsewhere if m.module.path not in _PATHS})


def _name(member: griffe.Object, path: str, members: tuple[Name, ...] = ()) -> Name:
    sections = member.docstring.parsed if member.docstring else []
    return Name(path, _signature(member), tuple(filter(None, map(_part, sections))), members)


def _signature(member: griffe.Object) -> str:
    """How it is called, without types: what is said of each argument names them."""
    if not isinstance(member, griffe.Function | griffe.Class):
        return ""
    if isinstance(member, griffe.Class) and any(str(base) == "NamedTuple" for base in member.bases):
        fields = [m for m in member.members.values() if isinstance(m, griffe.Attribute)]
        return f"({', '.join(a.name if a.value is None else f'{a.name}={a.value}' for a in fields)})"
    kinds, shown, starred = griffe.ParameterKind, [], False
    for parameter in member.parameters:
        if parameter.name in ("self", "cls"):
            continue
        star = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(parameter.kind, "")
        if parameter.kind is kinds.keyword_only and not starred:
            shown.append("*")
        starred = starred or parameter.kind in (kinds.keyword_only, kinds.var_positional)
        default = "" if star or parameter.default is None else f"={parameter.default}"
        shown.append(f"{star}{parameter.name}{default}")
    return f"({', '.join(shown)})"


def _part(section: griffe.DocstringSection) -> Part | None:
    if section.kind.value == "text":
        return Part("", tuple(map(_prose, section.value.split("\n\n"))))
    if section.kind.value not in _LISTS:
        return None
    heading = _LISTS[section.kind.value]
    items = tuple((_label(item), _prose(item.description)) for item in section.value)
    return Part(heading, items=items)


def _label(item: griffe.DocstringElement) -> str:
    """What an entry of a list is called: an argument, an error; what is returned bears no name here."""
    if isinstance(item, griffe.DocstringRaise):
        return str(item.annotation)
    if isinstance(item, griffe.DocstringReturn | griffe.DocstringYield):
        return ""
    return str(getattr(item, "name", ""))


def _prose(text: str) -> str:
    """A paragraph of a docstring as HTML: words between backticks are code."""
    escaped = html.escape(re.sub(r"\s+", " ", text).strip(), quote=False)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
