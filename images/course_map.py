"""The map of the course: one path through all lessons, each with a small picture of about 100 by 48 units."""

from svg import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, SLATE, VERMILLION, WHITE, Picture, mix, tint


def slider(p, x, y):
    """A slider."""
    p.curve([(x - 42, y), (x + 42, y)], stroke=GREY, width=4)
    p.curve([(x - 42, y), (x + 12, y)], stroke=GREEN, width=4)
    p.dot(x + 12, y, 10, WHITE, GREEN)


def arrow_from_z_to_x(p, x, y):
    """z to x."""
    p.arrow((x - 14, y), (x + 14, y), ORANGE, 2.5)
    p.circle(x - 34, y, 17, GREEN, "$z$", 17)
    p.circle(x + 34, y, 17, SLATE, "$x$", 17, fill="#D5DBE1")


def split_bar(p, x, y):
    """The bar that splits log p(x)."""
    p.rect(x - 50, y - 12, 72, 24, mix(BLUE, WHITE, 0.35), radius=4)
    p.rect(x + 24, y - 12, 26, 24, mix(PURPLE, WHITE, 0.35), radius=4)


def two_modes(p, x, y):
    """Two modes, one covered."""
    target = "M -50 18 C -30 18 -34 -20 -22 -20 C -8 -20 -10 14 0 14 C 12 14 10 -8 22 -8 C 34 -8 30 18 50 18 Z"
    p.path(target, stroke=GREY, fill="#DDE2E7", at=(x, y))
    p.path("M -46 18 C -30 18 -34 -26 -22 -26 C -10 -26 -12 18 2 18", stroke=BLUE, width=2.5, at=(x, y))


def noise(p, x, y):
    """Noise flows in, the gradient flows down."""
    p.box(x - 16, y, 34, 34, GREEN, ["$z$"], 18)
    p.circle(x + 36, y, 15, SKY, "$ε$", 16)
    p.arrow((x + 19, y), (x + 4, y), SLATE, 1.5)
    p.arrow((x - 46, y - 20), (x - 46, y + 22), VERMILLION, 2.5)


def two_bells(p, x, y):
    """Two bells apart."""
    left, right = (
        "M -48 18 C -24 18 -28 -22 -14 -22 C 0 -22 -4 18 20 18 Z",
        "M -30 18 C 0 18 -6 -10 14 -10 C 34 -10 28 18 52 18 Z",
    )
    p.path(left, stroke=BLUE, fill=BLUE, fill_opacity=0.15, at=(x, y))
    p.path(right, stroke=PURPLE, fill=PURPLE, fill_opacity=0.2, at=(x, y))


def networks(p, x, y):
    """Encoder and decoder."""
    p.polygon([(x - 48, y - 22), (x - 12, y - 9), (x - 12, y + 9), (x - 48, y + 22)], BLUE)
    p.polygon([(x + 48, y - 22), (x + 12, y - 9), (x + 12, y + 9), (x + 48, y + 22)], ORANGE)
    p.rect(x - 6, y - 11, 12, 22, GREEN, radius=4)


def parts(p, x, y):
    """Parts that fit together."""
    for i, colour in enumerate((BLUE, ORANGE, PURPLE)):
        p.rect(x - 50 + 35 * i, y - 14, 30, 30, tint(colour, 0.6), colour, radius=5)
        p.rect(x - 42 + 35 * i, y - 22, 14, 8, tint(colour, 0.6), colour, radius=2)


def crossed_out(p, x, y):
    """A term of the loss, struck out."""
    p.rect(x - 50, y - 12, 52, 24, mix(ORANGE, WHITE, 0.35), radius=4)
    p.rect(x + 4, y - 12, 46, 24, mix(PURPLE, WHITE, 0.35), radius=4)
    p.curve([(x - 2, y + 22), (x + 56, y - 22)], stroke=VERMILLION, width=3)


def band_of_lines(p, x, y):
    """Lines through points, in a band that widens away from them."""
    band = "M -52 -26 C -20 -8 10 -2 52 -22 V -6 C 10 12 -20 10 -52 8 Z"
    p.path(band, stroke="none", fill=mix(BLUE, WHITE, 0.75), at=(x, y))
    p.path("M -52 -9 C -20 1 10 5 52 -14", stroke=BLUE, width=2.5, at=(x, y))
    for dx, dy in ((-26, 6), (-14, -3), (-2, 8), (8, -1), (19, 4)):
        p.dot(x + dx, y + dy, 3.2, INK)


def picture(p, x, y):
    """A picture of one's own."""
    p.rect(x - 34, y - 24, 68, 48, WHITE, ORANGE, radius=5)
    p.dot(x - 15, y - 9, 6, mix(ORANGE, WHITE, 0.3))
    p.path("M -32 20 L -8 -4 L 6 10 L 16 1 L 32 20 Z", stroke=GREEN, fill=tint(GREEN, 0.6), at=(x, y))


def face(p, x, y):
    """A face."""
    p.element("ellipse", cx=x, cy=y, rx=22, ry=26, fill=tint(ORANGE, 0.75), stroke=ORANGE, stroke_width=2)
    p.dot(x - 8, y - 6, 2.6, INK)
    p.dot(x + 8, y - 6, 2.6, INK)
    p.path("M -10 8 Q 0 18 10 8", width=2.5, at=(x, y))


def one_for_all(p, x, y):
    """One encoder answers for three images."""
    for dy in (-18, 0, 18):
        p.rect(x - 50, y + dy - 7, 14, 14, "#D5DBE1", SLATE, radius=2)
        p.curve([(x - 34, y + dy), (x - 16, y + dy / 2)], stroke=SLATE, width=1.5)
    p.polygon([(x - 14, y - 20), (x + 16, y - 8), (x + 16, y + 8), (x - 14, y + 20)], BLUE)
    p.element("ellipse", cx=x + 38, cy=y, rx=14, ry=8, fill=tint(GREEN, 0.6), stroke=GREEN, stroke_width=2)


def held_against(p, x, y):
    """A bell beside the bars that it is held against."""
    for i, height in enumerate((6, 16, 32, 36, 20, 8)):
        p.rect(x - 42 + 14 * i, y + 20 - height, 12, height, "#DDE2E7", GREY, radius=1)
    p.path("M -48 20 C -18 20 -20 -22 0 -22 C 20 -22 18 20 48 20", stroke=BLUE, width=2.5, at=(x, y))


def darts(p, x, y):
    """Darts on a target."""
    for radius, fill in ((24, "#DDE2E7"), (15, WHITE), (6, tint(BLUE, 0.5))):
        p.circle(x, y, radius, BLUE, "", 1, fill=fill)
    for dx, dy in ((-30, -12), (-11, 7), (2, -3), (9, 12), (17, -13), (36, 8)):
        p.dot(x + dx, y + dy, 3.5, ORANGE)


def bent_line(p, x, y):
    """A bell, sent along a bent line, has two peaks."""
    p.path("M -52 20 C -36 20 -36 -16 -28 -16 C -20 -16 -20 20 -4 20", stroke=GREY, width=2.5, at=(x, y))
    p.arrow((x - 8, y), (x + 6, y), ORANGE, 2)
    twice = "M 2 20 C 10 20 8 -20 15 -20 C 22 -20 20 16 28 16 C 36 16 34 -20 41 -20 C 48 -20 46 20 54 20"
    p.path(twice, stroke=BLUE, fill=BLUE, fill_opacity=0.15, width=2.5, at=(x, y))


def water(p, x, y):
    """Water over falling bars: what stands above it is coded."""
    p.rect(x - 54, y + 5, 108, 17, tint(SKY, 0.7))
    for i, height in enumerate((44, 34, 27, 20, 14, 9, 6)):
        p.rect(x - 49 + 14 * i, y + 22 - height, 11, height, BLUE if height > 17 else "#C3CBD3", radius=1)
    p.curve([(x - 54, y + 5), (x + 54, y + 5)], stroke=SKY, width=2.5)


def simplex(p, x, y):
    """A ball that stops inside a triangle of three choices."""
    p.polygon([(x - 34, y + 22), (x + 34, y + 22), (x, y - 24)], "#DDE2E7")
    for dx, dy in ((-34, 22), (34, 22), (0, -24)):
        p.dot(x + dx, y + dy, 5, BLUE)
    p.curve([(x + 2, y - 10), (x - 2, y + 2), (x - 8, y + 10)], stroke=ORANGE, width=2.5)
    p.dot(x - 8, y + 10, 6, ORANGE)


def critic(p, x, y):
    """Two clouds, and a line between them that tells them apart."""
    for dx, dy in ((-40, -10), (-28, 6), (-34, 18), (-18, -4), (-22, -18), (-12, 14)):
        p.dot(x + dx, y + dy, 4, BLUE)
    for dx, dy in ((40, 12), (28, -8), (33, -20), (18, 6), (21, 20), (12, -12)):
        p.dot(x + dx, y + dy, 4, GREEN)
    p.curve([(x - 6, y + 26), (x + 6, y - 26)], stroke=ORANGE, width=2.5)


def stacked(p, x, y):
    """Layers of latents above the data, each explained by the one above."""
    for dy, count, colour in ((-19, 1, PURPLE), (0, 2, GREEN), (19, 4, SLATE)):
        for i in range(count):
            p.dot(x + 22 * (i - (count - 1) / 2), y + dy, 6, colour)
    p.arrow((x - 48, y - 20), (x - 48, y + 20), ORANGE, 2.5)
    p.arrow((x + 48, y + 20), (x + 48, y - 20), BLUE, 2.5)


def noised(p, x, y):
    """A picture that sinks into noise, step by step, and the way back."""
    for i, share in enumerate((0.0, 0.45, 0.75, 1.0)):
        p.rect(x - 51 + 27 * i, y - 20, 20, 20, mix(BLUE, GREY, share), radius=4)
    p.arrow((x + 46, y + 16), (x - 46, y + 16), ORANGE, 2.5)


def cells(p, x, y):
    """A code book: the plane in cells, each with the vector that stands for it."""
    p.rect(x - 50, y - 22, 100, 44, WHITE, GREY, radius=4)
    middle = (x - 6, y + 2)
    for end in ((x - 50, y + 10), (x - 14, y - 22), (x + 50, y - 8), (x + 12, y + 22)):
        p.curve([middle, end], stroke=GREY, width=2)
    for dx, dy, colour in ((-34, -8, BLUE), (14, -11, PURPLE), (30, 10, ORANGE), (-22, 14, GREEN)):
        p.dot(x + dx, y + dy, 5, colour)


LESSONS = (
    ("start here", "a slider moves a picture", GREEN, slider),
    ("latent variable models", "generate $z$, then $x$", BLUE, arrow_from_z_to_x),
    ("the ELBO", "a bound that adds up", BLUE, split_bar),
    ("amortised inference", "one encoder for all images", BLUE, one_for_all),
    ("forward and reverse KL", "cover all, or choose one", BLUE, two_modes),
    ("reparameterisation", "a gradient through chance", BLUE, noise),
    ("the closed-form KL", "several ways to one number", BLUE, two_bells),
    ("a VAE in Keras", "the whole model by hand", ORANGE, networks),
    ("the modular VAE", "change one part at a time", ORANGE, parts),
    ("faces", "a slider makes a face smile", ORANGE, face),
    ("wrong losses", "what each slip does", ORANGE, crossed_out),
    ("Bayesian regression", "a posterior over lines", ORANGE, band_of_lines),
    ("trusting a posterior", "how wrong may $q$ be?", ORANGE, held_against),
    ("your own images", "the same parts, your data", ORANGE, picture),
    ("importance weighting", "many darts, one bound", ORANGE, darts),
    ("normalizing flows", "bend $q$ until it fits", ORANGE, bent_line),
    ("rate and distortion", "what a nat of code buys", ORANGE, water),
    ("discrete latents", "a gradient through a choice", ORANGE, simplex),
    ("implicit posteriors", "a KL that a critic measures", ORANGE, critic),
    ("deep latents", "layers that explain layers", ORANGE, stacked),
    ("diffusion", "a thousand layers of noise", ORANGE, noised),
    ("same parts elsewhere", "labels, code books, counts", ORANGE, cells),
)
COLUMNS = (144, 400, 656)
FIRST_ROW, ROW = 124, 186
EDGE, REACH = 80, 10  # where the road begins to turn, and how far beyond the picture's side it swings


def road(rows):
    """The path through rows of three, to and fro, and the places of its turns."""
    path, turns = ["M", COLUMNS[0], FIRST_ROW], []
    for row in range(rows):
        y, below = FIRST_ROW + row * ROW, FIRST_ROW + (row + 1) * ROW
        to_the_right = row % 2 == 0
        end, swing = (800 - EDGE, 800 + REACH) if to_the_right else (EDGE, -REACH)
        if row == rows - 1:
            break
        path += ["H", end, "C", swing, y, swing, below, end, below]
        turns.append((800 - 12.5 if to_the_right else 12.5, (y + below) / 2))
    return path, turns


def course_map():
    names = "; ".join(f"{i:02d} {name}" for i, (name, *_) in enumerate(LESSONS))
    rows = -(-len(LESSONS) // len(COLUMNS))
    p = Picture(
        "course_map",
        "The map of the course: all lessons on one path",
        f"A path through {len(LESSONS)} lessons: {names}. "
        f"Lessons 01 to 06 are theory with NumPy and SciPy; lessons 07 to {len(LESSONS) - 1} build models with Keras.",
        height=FIRST_ROW + (rows - 1) * ROW + 100,
    )
    stops = [(COLUMNS[c] if r % 2 == 0 else COLUMNS[2 - c], FIRST_ROW + r * ROW) for r in range(rows) for c in range(3)]
    stops = stops[: len(LESSONS)]
    path, turns = road(rows)
    p.path([*path, "H", stops[-1][0]], stroke="#E3E8EC", width=16)
    for x, y in turns:
        p.path("M -5 -3 L 0 3 L 5 -3", stroke=SLATE, width=2.5, at=(x, y))
    for (x, y), (after, below) in zip(stops, stops[1:], strict=False):
        if y == below:
            chevron = "M -3 -5 L 3 0 L -3 5" if after > x else "M 3 -5 L -3 0 L 3 5"
            p.path(chevron, stroke=SLATE, width=2.5, at=((x + after) / 2, y))
    for i, ((x, y), (name, question, colour, icon)) in enumerate(zip(stops, LESSONS, strict=True)):
        p.body.append(f'<g class="lesson-{i:02d}">')  # the site makes a link of each
        p.rect(x - 114, y - 66, 228, 140, WHITE, colour, radius=16)
        p.dot(x - 114 + 30, y - 66 + 28, 19, colour)
        p.lines(x - 114 + 30, y - 66 + 28, [f"*{i:02d}"], 16, WHITE if colour != ORANGE else "#111")
        icon(p, x + 16, y - 28)
        p.text(x, y + 34, name, 15.5, INK, bold=True)
        p.text(x, y + 58, question, 14, SLATE)
        p.body.append("</g>")
    for x, colour, label in (
        (84, GREEN, "start: no training"),
        (310, BLUE, "theory: NumPy and SciPy"),
        (572, ORANGE, "models: Keras"),
    ):
        p.dot(x, 32, 7, colour)
        p.text(x + 14, 37, label, 15, SLATE, "start")
    return p
