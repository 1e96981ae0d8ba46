"""What `make widgets` makes of js/: for each entry one module with all that it imports, and one style sheet."""

from pathlib import Path

FOLDER = Path(__file__).parent


def module(name):
    """Return a bundle's module as text: "labs", "latent_pad", "draw_digit" or "epoch_scrubber"."""
    return (FOLDER / f"{name}.js").read_text("utf-8")


def style(name):
    """Return a bundle's style sheet as text."""
    return (FOLDER / f"{name}.css").read_text("utf-8")
