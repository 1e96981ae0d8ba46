"""The colours of the course, without a plotting library."""

# Okabe and Ito's palette: readable with any colour vision.
COLOURS = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermillion": "#D55E00",
    "sky": "#56B4E9",
    "purple": "#CC79A7",
    "yellow": "#F0E442",
    "black": "#000000",
    "grey": "#7F7F7F",
}

# Ten classes need two more than the palette has: the ten of Petroff (2021), made for colour-vision deficiency.
CLASS_COLOURS = [
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
]

# The same names on a dark ground: each lighter, so that lines stand out from it as they do from white.
DARK_COLOURS = {
    "blue": "#3F9BE0",
    "orange": "#F0B73C",
    "green": "#2CC295",
    "vermillion": "#FF7F3F",
    "sky": "#A5DBFF",
    "purple": "#E59CC8",
    "yellow": "#F5EA6B",
    "black": "#F2F2F2",
    "grey": "#A6A6A6",
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
