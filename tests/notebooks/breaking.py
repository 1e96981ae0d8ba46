"""Run the code of a notebook with one thing in it broken, and see which claims fail.

broken = function(gaussian, "kl_standard_normal", scaled(-1))  # or code("mu**2", "mu"), for the notebook's own
assert "the ELBO is log p(x) minus the gap" in failing("02_elbo", broken)
"""

import ast
import contextlib
import functools
import hashlib
import pickle
import symtable
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest

import vaelib
import vaelib.teaching.claims
from vaelib.teaching.claims import ClaimError
from vaelib.theory import autoencoders, gaussian
from vaelib.theory.autoencoders import Autoencoder, VariationalAutoencoder
from vaelib.tools.runner import evidence

FOLDER = Path(__file__).parents[2] / "notebooks"
CLAIMS = ("claim_close", "claim_equal", "claim_true", "claim_monte_carlo")


class Reached(Exception):
    """The claim that was asked for has been made: no need to run further."""


def replaced(target, name, change):
    """Context manager: put change(original) in place of target.name, a function of a module or of a class."""
    return mock.patch.object(target, name, change(getattr(target, name)))


class Break(NamedTuple):
    """One thing broken: its name, a context in which it is, and pieces of code to replace."""

    name: str
    context: Callable = contextlib.nullcontext
    source: dict = {}
    key: tuple = ()  # what tells it from others, for `gathered`


def function(target, name, change):
    """A function of a module, or of a class, broken: change(original) takes its place."""
    return Break(name, lambda: replaced(target, name, change), key=(target, name, change))


def code(old, new):
    """A piece of the notebook's own code broken."""
    return Break(new.strip(), source={old: new}, key=(old, new))


def all_at_once(breaks):
    """Many breaks as one."""

    @contextlib.contextmanager
    def context():
        with contextlib.ExitStack() as stack:
            for each in breaks:
                stack.enter_context(each.context())
            yield

    return Break("many", context, {old: new for each in breaks for old, new in each.source.items()})


def gathered(pairs):
    """Pairs of what is broken and a claim that catches it, as cases of one run each.

    Returns:
        Parameters for pytest: what is broken, and all claims that catch just this, in the order of the pairs.
    """
    cases = {}
    for broken, claim in pairs:
        cases.setdefault(broken.key, (broken, []))[1].append(claim)
    return [pytest.param(*case, id=f"{case[0].name}: {', '.join(case[1])}") for case in cases.values()]


def scaled(factor):
    """A change: factor times the result. A wrong sign, a missing ½."""
    return lambda original: lambda *args, **named: factor * original(*args, **named)


def shifted(by):
    """A change: the result, and so much more."""
    return lambda original: lambda *args, **named: by + original(*args, **named)


def changed(**fields):
    """A change: the named tuple that a function returns, with these fields changed by functions."""

    def change(original):
        def broken(*args, **named):
            result = original(*args, **named)
            return result._replace(**{name: f(getattr(result, name)) for name, f in fields.items()})

        return broken

    return change


def failing(notebook, broken, *, source=(), **how):
    """The claims that fail when this is broken, as a set; other arguments as `claims_of`."""
    with broken.context():
        return set(claims_of(notebook, source={**dict(source), **broken.source}, **how)[1])


def missed(notebook, guarded, **how):
    """The claims that hold although what they guard is broken, all of it in one run; other arguments as `claims_of`.

    Args:
        notebook: the file's name without .ipynb.
        guarded: pairs of a Break and the texts of the claims that should catch it.
    """
    breaks, guards = zip(*guarded, strict=True)
    return {claim for each in guards for claim in each} - failing(notebook, all_at_once(breaks), **how)


def needless(cells, claims):
    """The slow cells that these claims can do without.

    Args:
        cells: by a piece of a slow cell's code, what the claims begin with that need it.
        claims: their texts.
    """
    return [piece for piece, starts in cells.items() if not any(claim.startswith(starts) for claim in claims)]


@contextlib.contextmanager
def training_remembered():
    """Context manager: what a NumPy autoencoder has trained or searched once, from the same, is not done again.

    What a break leaves alone need not be trained for every break. While any function is broken that either may call,
    both are done anew.
    """
    kept, fit, fit_q = {}, Autoencoder.fit, VariationalAutoencoder.fit_q

    def remembered(method, self, *args):
        state = [method.__name__, type(self).__name__, self.weights, args]
        key = hashlib.sha256(pickle.dumps(state)).hexdigest(), _functions()
        if key not in kept:
            kept[key] = method(self, *args), [w.copy() for w in self.weights]
        result, weights = kept[key]
        self.weights = [w.copy() for w in weights]
        return result

    def training(self, x, *args, rng=None, **settings):
        if rng is None:
            *args, rng = args
        # By the generator's state: its own bytes may differ.
        losses, rng.bit_generator.state = remembered(
            trained, self, x, args, sorted(settings.items()), rng.bit_generator.state
        )
        return losses

    def trained(self, x, args, settings, state):
        rng = np.random.default_rng()
        rng.bit_generator.state = state
        return fit(self, x, *args, rng=rng, **dict(settings)), rng.bit_generator.state

    def search(self, x, mu, log_var, points_per_dim=4, num_steps=None):
        return remembered(fit_q, self, x, mu, log_var, points_per_dim, num_steps)

    with mock.patch.object(Autoencoder, "fit", training), mock.patch.object(VariationalAutoencoder, "fit_q", search):
        yield


def _functions():
    """The functions that training and searching may call, as they are now; the remembered two aside."""
    places = (autoencoders, gaussian, Autoencoder, VariationalAutoencoder)
    named = ((name, value) for place in places for name, value in vars(place).items() if callable(value))
    return tuple(getattr(value, "stands_for", value) for name, value in named if name not in ("fit", "fit_q"))


def claims_committed(notebook):
    """The texts of the claims in a notebook's committed outputs, as a set."""
    outputs = (output for cell in _read(notebook).cells for output in cell.get("outputs", []))
    return {claim["text"] for output in outputs for claim in evidence.claims_of(output.get("data", {}))}


def run_until(notebook, claim, *, parameters=None, source=None, without=()):
    """Run a notebook's cells in one namespace up to the claim with this text, and let that claim's ClaimError out.

    Claims before it may fail: what is broken may break them too.

    Args:
        notebook: the file's name without .ipynb.
        claim: the text of the claim; the run stops there.
        parameters: values by name in place of those of the parameters cell.
        source: {old: new}, pieces of code to replace; for what is defined in the notebook itself.
        without: cells that hold one of these pieces of code are left out, and those that need what these define:
            figures and labs, to save time.
    Raises:
        ClaimError: the claim fails, as it should when what it guards is broken.
        LookupError: the notebook makes no such claim, or an old piece of code or a parameter is not in it.
    """
    texts, _ = _run(notebook, parameters or {}, source or {}, without, until=claim)
    if claim not in texts:
        raise LookupError(f"{notebook} makes no claim {claim!r}; it makes {texts}.")


def claims_of(notebook, *, parameters=None, source=None, without=(), last=None):
    """Run the whole notebook, or up to the claim `last`, whatever fails; other arguments as `run_until`.

    Returns:
        The texts of the claims made, and of those that failed, each in order.
    """
    return _run(notebook, parameters or {}, source or {}, without, last=last)


def _run(notebook, parameters, source, without, until=None, last=None):
    made, failed, namespace = [], [], {"__name__": "__main__"}

    def reached(text):
        if text == until and text in failed:
            raise
        if text in (until, last):
            raise Reached

    with watched_claims(made, failed, reached), contextlib.suppress(Reached):
        for n, text in left_out(sources_of(notebook, parameters, source), without):
            exec(compile(text, f"{notebook}, code cell {n}", "exec"), namespace)
    return made, failed


@contextlib.contextmanager
def watched_claims(made, failed, reached):
    """Context manager: claims note themselves in two lists and call reached(text), also when they fail."""

    def watched(claim):
        @functools.wraps(claim)
        def make(text, *args, **kwargs):
            made.append(text)
            try:
                claim(text, *args, **kwargs)
            except ClaimError:
                failed.append(text)
                reached(text)
            else:
                reached(text)

        return make

    before = matplotlib.get_backend()
    with contextlib.ExitStack() as stack:
        stack.callback(plt.switch_backend, before)
        plt.switch_backend("agg")
        stack.callback(plt.close, "all")
        stack.enter_context(matplotlib.rc_context())
        stack.enter_context(mock.patch.object(plt, "show", lambda: plt.close("all")))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", RuntimeWarning)  # what is broken may well divide by zero
        for name in CLAIMS:  # where they are defined, and where the package keeps a public name once it was used
            claim = watched(getattr(vaelib.teaching.claims, name))
            for module in (vaelib.teaching.claims, vaelib):
                stack.enter_context(mock.patch.object(module, name, claim))
        yield


def left_out(sources, pieces):
    """Number the cells of a notebook; leave out those that hold a piece of code and those that need what these define.

    Args:
        sources: of all its code cells, in order.
        pieces: pieces of code.
    """
    kept, known, missing = [], set(), set()
    for n, text in enumerate(sources, 1):
        needed, defined = _names(text)
        if any(piece in text for piece in pieces) or needed & (missing - known):
            missing |= defined
        else:
            top = symtable.symtable(text, f"code cell {n}", "exec")
            known |= {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
            known |= {inner.get_name() for inner in top.get_children() if inner.get_type() in ("function", "class")}
            kept.append((n, text))
    return kept


def _names(text):
    """The names that a cell needs from others, and those that it defines."""
    nodes = list(ast.walk(ast.parse(text)))
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    defined |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    defined |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return {node.id for node in nodes if isinstance(node, ast.Name)} - defined, defined


def sources_of(notebook, parameters, source):
    """The sources of a notebook's code cells, with parameters and pieces of code replaced.

    Raises:
        LookupError: an old piece of code or a parameter is not in it.
    """
    cells = [cell for cell in _read(notebook).cells if cell.cell_type == "code"]
    sources = []
    for cell in cells:
        text = cell.source
        for old, new in source.items():
            text = text.replace(old, new)
        if "parameters" in cell.metadata.get("tags", []):
            for name, value in parameters.items():
                if f"{name}:" not in text:
                    raise LookupError(f"{notebook} has no parameter {name!r}.")
                text += f"\n{name} = {value!r}"
        sources.append(text)
    for old in source:
        if not any(old in cell.source for cell in cells):
            raise LookupError(f"{notebook} holds no code {old!r}.")
    return sources


@functools.cache
def _read(notebook):
    return nbformat.read(FOLDER / f"{notebook}.ipynb", as_version=4)
