"""MathJax from the installed package jupyter-server-mathjax, copied so that it works from file:// too."""

import base64
import os
import shutil
from pathlib import Path

# Families of alphabets that the course's formulas do not use: half of the fonts' bytes.
LEFT_OUT = ("Fraktur", "SansSerif")
FILES = [
    "LICENSE",
    "MathJax.js",
    "config/TeX-AMS-MML_HTMLorMML-full.js",
    "extensions/AssistiveMML.js",
    "extensions/MathEvents.js",
    "extensions/toMathML.js",
    "jax/element/mml/optable",
    "jax/output/HTML-CSS/autoload",
    "jax/output/HTML-CSS/fonts/STIX-Web",
]


def copy_mathjax(folder: str | os.PathLike) -> None:
    """Copy what the pages need of MathJax into a folder, with the fonts as one script.

    Raises:
        ModuleNotFoundError: jupyter-server-mathjax is not installed.
    """
    try:
        import jupyter_server_mathjax
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "The site's formulas need MathJax as files: pip install jupyter-server-mathjax (or vaelib[site])."
        ) from None
    static = Path(jupyter_server_mathjax.__file__).parent / "static"
    folder = Path(folder)
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (static / name).is_dir() else shutil.copy)(static / name, folder / name)
    # A browser loads no font file for a page opened from file://, so the fonts travel as text inside a script.
    prefix, lines = "STIXMathJax_", []
    for path in sorted((static / "fonts/HTML-CSS/STIX-Web/woff").glob(f"{prefix}*.woff")):
        name = path.stem.removeprefix(prefix)
        if not name.startswith(LEFT_OUT):
            lines.append(f'"{name}": "{base64.b64encode(path.read_bytes()).decode()}",')
    (folder / "fonts.js").write_text("\n".join(["window.mathFonts = {", *lines, "};", ""]), encoding="ascii")
