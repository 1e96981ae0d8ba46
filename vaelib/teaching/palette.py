"""The colours of the course, without a plotting library."""

# Okabe and Ito's palette: readable with any colour vision. The grey is ours, dark enough not to be their green or
# purple to eyes without red or green. `tests/teaching/test_palette.py` measures the distances of all colours here.
COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermillion": "#D55E00",
    "sky": "#56B4E9",
    "purple": "#CC79A7",
    "yellow": "#F0E442",
    "black": "#000000",
    "grey": "#5E5E5E",
}

# Ten classes need more than the palette has: found by a search for the largest distance between any two, for usual
# eyes and for those without red, green or blue; each is seen on white and on a dark ground. The digits that a model
# takes for each other (3, 5, 8; 4, 9) lie furthest apart.
CLASS_COLOURS = [
    "#b0b9f4",
    "#ff50bb",
    "#a5866f",
    "#59e9c9",
    "#fe9d7c",
    "#8583f9",
    "#507738",
    "#e7d544",
    "#be2d88",
    "#a706f0",
]

# The same names on a dark ground: each lighter, so that lines stand out from it as they do from white.
DARK_COLOURS = {
    "blue": "#4093E2",
    "orange": "#F0B93C",
    "green": "#2CD493",
    "vermillion": "#FF7C3F",
    "sky": "#A5DBFF",
    "purple": "#C89CC9",
    "yellow": "#F5DF6D",
    "black": "#F2F2F2",
    "grey": "#828282",
}

# A page's own colours: text, ground, lines of axes and borders.
PAGE = {"ink": "#1F1F1F", "paper": "#FFFFFF", "line": "#8A8A8A"}
DARK_PAGE = {"ink": "#E6E6E6", "paper": "#161616", "line": "#7D7D7D"}


def css_variables(selector):
    """Return CSS that gives every colour a variable of its name, light or dark as the page around it.

    The system's preference holds unless the page names a theme: the site by data-theme, JupyterLab by
    data-jp-theme-light.

    Args:
        selector: the elements that get the variables.
    """
    light, dark = (
        "; ".join(f"--{name}: {colour}" for name, colour in {**colours, **page}.items())
        for colours, page in ((COLOURS, PAGE), (DARK_COLOURS, DARK_PAGE))
    )
    return (
        f"{selector} {{ {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ {selector} {{ {dark} }} }}\n"
        f'[data-theme="light"] {selector}, [data-jp-theme-light="true"] {selector} {{ {light} }}\n'
        f'[data-theme="dark"] {selector}, [data-jp-theme-light="false"] {selector} {{ {dark} }}\n'
    )
