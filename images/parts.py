"""The architecture of each part of the model, with shapes, and the map of the course."""

from svg import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, SLATE, VERMILLION, WHITE, Picture, dark, mix, tint


def digit_two(cells=16, blur=1.0):
    """Return a small grey image of a handwritten 2: dark ground, and a stroke whose edge is `blur` cells soft."""
    stroke = [
        (5, 5),
        (6, 3.4),
        (8, 2.8),
        (10, 3.5),
        (10.7, 5.4),
        (9.8, 7.6),
        (7.4, 10),
        (5, 12.6),
        (8, 12.2),
        (11.4, 12.6),
    ]

    def distance(x, y, a, b):
        dx, dy = b[0] - a[0], b[1] - a[1]
        t = min(1, max(0, ((x - a[0]) * dx + (y - a[1]) * dy) / (dx * dx + dy * dy)))
        return ((x - a[0] - t * dx) ** 2 + (y - a[1] - t * dy) ** 2) ** 0.5

    def value(i, j):
        nearest = min(distance(j + 0.5, i + 0.5, a, b) for a, b in zip(stroke, stroke[1:], strict=False))
        return min(1.0, max(0.0, 0.5 + (0.9 - nearest) / (2 * blur))) * (1 - 0.12 * (blur - 0.5))

    return [[value(i, j) for j in range(cells)] for i in range(cells)]


def shape_below(p, x, y, shape):
    p.text(x, y, f"`({shape})`", 15, SLATE)


def bracket(p, left, right, y, label, colour):
    """Name the code that makes the boxes above."""
    p.path(["M", left, y - 8, "v", 8, "H", right, "v", -8], stroke=colour, width=2)
    p.text((left + right) / 2, y + 26, label, 16, dark(colour))


def part_encoder():
    p = Picture(
        "part_encoder",
        "The encoder: from an image to the parameters of q(z|x)",
        "Images of shape (batch, 28, 28) are flattened to (batch, 784), pass a dense layer of 200 ReLU units to "
        "(batch, 200) and a dense layer to (batch, 4), which splits into mu and log sigma squared, (batch, 2) each.",
        height=340,
    )
    p.text(400, 44, "encoder $q_φ(z|x)$", 21, dark(BLUE), bold=True)
    for x, h, colour, labels, shape in (
        (242, 160, BLUE, ["flatten"], "batch, 784"),
        (402, 110, BLUE, ["dense 200", "ReLU"], "batch, 200"),
        (552, 70, BLUE, ["dense", "2 + 2"], "batch, 4"),
    ):
        p.box(x, 150, 104, h, colour, labels)
        shape_below(p, x, 254, shape)
    p.pixels(37, 105, 90, digit_two(blur=0.6))
    p.text(82, 90, "$x$", 22)
    shape_below(p, 86, 254, "batch, 28, 28")
    for start, end in (((136, 150), (186, 150)), ((298, 150), (346, 150)), ((458, 150), (496, 150))):
        p.arrow(start, end, SLATE)
    p.arrow((606, 140), (652, 112), SLATE)
    p.arrow((606, 160), (652, 188), SLATE)
    p.box(700, 102, 88, 48, BLUE, ["$μ$"], 22)
    p.box(700, 198, 88, 48, BLUE, ["$log σ^2$"], 20)
    p.text(700, 254, "`(batch, 2)` each", 15, SLATE)
    bracket(p, 186, 608, 284, "the network: `dense_encoder`", BLUE)
    bracket(p, 640, 760, 284, "`DiagonalNormal`", BLUE)
    return p


def part_decoder():
    p = Picture(
        "part_decoder",
        "The decoder: from a code to the parameters of p(x|z)",
        "Codes of shape (batch, 2) pass a dense layer of 200 ReLU units to (batch, 200) and a dense layer of 784 "
        "logits to (batch, 784), which the Bernoulli likelihood reads. Its mean is the sigmoid of the logits, "
        "reshaped to (batch, 28, 28).",
        height=340,
    )
    p.text(400, 44, "decoder $p_θ(x|z)$", 21, dark(ORANGE), bold=True)
    for x, w, h, colour, labels, shape in (
        (76, 88, 60, GREEN, ["$z$"], "batch, 2"),
        (222, 104, 110, ORANGE, ["dense 200", "ReLU"], "batch, 200"),
        (378, 104, 160, ORANGE, ["dense 784", "logits"], "batch, 784"),
        (540, 104, 160, ORANGE, ["sigmoid,", "reshape"], None),
    ):
        p.box(x, 150, w, h, colour, labels, 24 if x == 76 else 16)
        if shape:
            shape_below(p, x, 254, shape)
    p.pixels(663, 105, 90, digit_two(blur=2.0))
    p.text(708, 90, "mean of $x$", 16)
    shape_below(p, 706, 254, "batch, 28, 28")
    for left, right in ((124, 166), (278, 322), (434, 484), (596, 654)):
        p.arrow((left, 150), (right, 150), SLATE)
    bracket(p, 168, 432, 284, "the network: `dense_decoder`", ORANGE)
    bracket(p, 486, 766, 284, "`Bernoulli`", ORANGE)
    return p


def part_reparameterisation():
    p = Picture(
        "part_reparameterisation",
        "Reparameterisation: from mu, log sigma squared and noise to a code",
        "Log sigma squared, (batch, 2), becomes sigma by exp of one half of it. Sigma times the noise epsilon, drawn "
        "from N(0, I) with shape (batch, 2), plus mu gives z, of shape (batch, 2).",
        height=360,
    )
    p.text(400, 44, "reparameterisation $z = μ + σ ⊙ ε$", 21, dark(GREEN), bold=True)
    p.box(100, 112, 104, 50, BLUE, ["$μ$"], 22)
    p.box(100, 206, 104, 50, BLUE, ["$log σ^2$"], 20)
    p.circle(100, 302, 30, SKY, "$ε$", 24)
    p.text(146, 288, "$ε ∼ N(0, I)$", 17, anchor="start")
    p.arrow((156, 206), (196, 206), SLATE)
    p.box(264, 206, 132, 50, GREEN, ["$exp(½ log σ^2)$"], 17)
    p.arrow((334, 206), (416, 206), SLATE)
    p.lines(374, 190, ["$σ$"], 20)
    p.circle(442, 206, 22, GREEN, fill=WHITE)
    p.lines(442, 206, ["$⊙$"], 24)
    p.path(["M", 134, 302, "H", 430, "Q", 442, 302, 442, 290], stroke=SLATE)
    p.arrow((442, 290), (442, 232), SLATE)
    p.path(["M", 156, 112, "H", 544, "Q", 556, 112, 556, 124], stroke=SLATE)
    p.arrow((556, 124), (556, 180), SLATE)
    p.arrow((466, 206), (530, 206), SLATE)
    p.circle(556, 206, 22, GREEN, fill=WHITE)
    p.lines(556, 206, ["$+$"], 24)
    p.arrow((580, 206), (634, 206), SLATE)
    p.box(690, 206, 104, 60, GREEN, ["$z$"], 26)
    p.text(630, 312, "every shape: `(batch, 2)`", 15, SLATE)
    p.text(630, 334, "the noise is an input", 15, SLATE)
    return p


def part_kl():
    p = Picture(
        "part_kl",
        "The KL term: from mu and log sigma squared to one number per example",
        "Mu and log sigma squared, (batch, 2) each, give one half of mu squared plus sigma squared minus log sigma "
        "squared minus one, per dimension; the sum over dimensions gives (batch,), one value per example in nats; "
        "the loss takes the mean over the batch.",
        height=340,
    )
    p.text(400, 44, "$KL(q_φ(z|x) ‖ p(z))$  with  $p(z) = N(0, I)$", 21, mix(PURPLE, INK, 0.5), bold=True)
    p.box(78, 112, 92, 48, BLUE, ["$μ$"], 22)
    p.box(78, 188, 92, 48, BLUE, ["$log σ^2$"], 20)
    p.arrow((128, 118), (170, 138), SLATE)
    p.arrow((128, 182), (170, 162), SLATE)
    p.box(290, 150, 232, 76, PURPLE, ["$½ (μ^2 + σ^2 − log σ^2 − 1)$"], 17)
    p.arrow((410, 150), (452, 150), SLATE)
    p.box(524, 150, 136, 76, PURPLE, ["sum over", "dimensions"], 16)
    p.arrow((596, 150), (646, 150), SLATE)
    p.box(712, 150, 124, 76, SLATE, ["mean over", "the batch"], 16)
    shape_below(p, 78, 246, "batch, 2")
    shape_below(p, 290, 246, "batch, 2")
    p.text(524, 246, "`(batch,)`", 15, SLATE)
    p.text(712, 246, "one number", 15, SLATE)
    bracket(p, 174, 592, 284, "`StandardNormal`: nats per example", mix(PURPLE, INK, 0.2))
    bracket(p, 650, 774, 284, "the loss", SLATE)
    return p


def icon(p, number, x, y):
    """Draw the small picture of a lesson, about 100 by 48, centred on (x, y)."""
    if number == 0:  # a slider
        p.curve([(x - 42, y), (x + 42, y)], stroke=GREY, width=4)
        p.curve([(x - 42, y), (x + 12, y)], stroke=GREEN, width=4)
        p.dot(x + 12, y, 10, WHITE, GREEN)
    elif number == 1:  # z to x
        p.arrow((x - 14, y), (x + 14, y), ORANGE, 2.5)
        p.circle(x - 34, y, 17, GREEN, "$z$", 17)
        p.circle(x + 34, y, 17, SLATE, "$x$", 17, fill="#D5DBE1")
    elif number == 2:  # the bar that splits log p(x)
        p.rect(x - 50, y - 12, 72, 24, mix(BLUE, WHITE, 0.35), radius=4)
        p.rect(x + 24, y - 12, 26, 24, mix(PURPLE, WHITE, 0.35), radius=4)
    elif number == 3:  # two modes, one covered
        target = "M -50 18 C -30 18 -34 -20 -22 -20 C -8 -20 -10 14 0 14 C 12 14 10 -8 22 -8 C 34 -8 30 18 50 18 Z"
        p.path(target, stroke=GREY, fill="#DDE2E7", at=(x, y))
        p.path("M -46 18 C -30 18 -34 -26 -22 -26 C -10 -26 -12 18 2 18", stroke=BLUE, width=2.5, at=(x, y))
    elif number == 4:  # noise flows in, the gradient flows down
        p.box(x - 16, y, 34, 34, GREEN, ["$z$"], 18)
        p.circle(x + 36, y, 15, SKY, "$ε$", 16)
        p.arrow((x + 19, y), (x + 4, y), SLATE, 1.5)
        p.arrow((x - 46, y - 20), (x - 46, y + 22), VERMILLION, 2.5)
    elif number == 5:  # two bells apart
        left, right = (
            "M -48 18 C -24 18 -28 -22 -14 -22 C 0 -22 -4 18 20 18 Z",
            "M -30 18 C 0 18 -6 -10 14 -10 C 34 -10 28 18 52 18 Z",
        )
        p.path(left, stroke=BLUE, fill=BLUE, fill_opacity=0.15, at=(x, y))
        p.path(right, stroke=PURPLE, fill=PURPLE, fill_opacity=0.2, at=(x, y))
    elif number == 6:  # encoder and decoder
        p.polygon([(x - 48, y - 22), (x - 12, y - 9), (x - 12, y + 9), (x - 48, y + 22)], BLUE)
        p.polygon([(x + 48, y - 22), (x + 12, y - 9), (x + 12, y + 9), (x + 48, y + 22)], ORANGE)
        p.rect(x - 6, y - 11, 12, 22, GREEN, radius=4)
    elif number == 7:  # parts that fit together
        for i, colour in enumerate((BLUE, ORANGE, PURPLE)):
            p.rect(x - 50 + 35 * i, y - 14, 30, 30, tint(colour, 0.6), colour, radius=5)
            p.rect(x - 42 + 35 * i, y - 22, 14, 8, tint(colour, 0.6), colour, radius=2)
    elif number == 9:  # a term of the loss, struck out
        p.rect(x - 50, y - 12, 52, 24, mix(ORANGE, WHITE, 0.35), radius=4)
        p.rect(x + 4, y - 12, 46, 24, mix(PURPLE, WHITE, 0.35), radius=4)
        p.curve([(x - 2, y + 22), (x + 56, y - 22)], stroke=VERMILLION, width=3)
    elif number == 10:  # lines through points, in a band that widens away from them
        band = "M -52 -26 C -20 -8 10 -2 52 -22 V -6 C 10 12 -20 10 -52 8 Z"
        p.path(band, stroke="none", fill=mix(BLUE, WHITE, 0.75), at=(x, y))
        p.path("M -52 -9 C -20 1 10 5 52 -14", stroke=BLUE, width=2.5, at=(x, y))
        for dx, dy in ((-26, 6), (-14, -3), (-2, 8), (8, -1), (19, 4)):
            p.dot(x + dx, y + dy, 3.2, INK)
    elif number == 11:  # a picture of one's own
        p.rect(x - 34, y - 24, 68, 48, WHITE, ORANGE, radius=5)
        p.dot(x - 15, y - 9, 6, mix(ORANGE, WHITE, 0.3))
        p.path("M -32 20 L -8 -4 L 6 10 L 16 1 L 32 20 Z", stroke=GREEN, fill=tint(GREEN, 0.6), at=(x, y))
    else:  # a face
        p.element("ellipse", cx=x, cy=y, rx=22, ry=26, fill=tint(ORANGE, 0.75), stroke=ORANGE, stroke_width=2)
        p.dot(x - 8, y - 6, 2.6, INK)
        p.dot(x + 8, y - 6, 2.6, INK)
        p.path("M -10 8 Q 0 18 10 8", width=2.5, at=(x, y))


LESSONS = (
    ("start here", "a slider moves a picture", GREEN),
    ("latent variable models", "generate $z$, then $x$", BLUE),
    ("the ELBO", "a bound that adds up", BLUE),
    ("forward and reverse KL", "cover all, or choose one", BLUE),
    ("reparameterisation", "a gradient through chance", BLUE),
    ("the closed-form KL", "five ways to one number", BLUE),
    ("a VAE in Keras", "the whole model by hand", ORANGE),
    ("the modular VAE", "change one part at a time", ORANGE),
    ("faces", "a slider makes a face smile", ORANGE),
    ("wrong losses", "what each slip does", ORANGE),
    ("Bayesian regression", "a posterior over lines", ORANGE),
    ("your own images", "the same parts, your data", ORANGE),
)


def course_map():
    names = "; ".join(f"{i:02d} {name}" for i, (name, _, _) in enumerate(LESSONS))
    p = Picture(
        "course_map",
        "The map of the course: twelve lessons on one path",
        f"A path through twelve lessons: {names}. "
        "Lessons 01 to 06 are theory with NumPy and SciPy; lessons 07 to 13 build models with Keras.",
        height=782,
    )
    xs, ys = (144, 400, 656), (124, 310, 496, 682)
    stops = [(xs[c] if r % 2 == 0 else xs[2 - c], ys[r]) for r in range(4) for c in range(3)]
    road = (
        "M 144 124 H 720 C 810 124 810 310 720 310 H 80 C -10 310 -10 496 80 496 H 720 C 810 496 810 682 720 682 H 80"
    )
    p.path(road, stroke="#E3E8EC", width=16)
    turns = [(x, y, "M -5 -3 L 0 3 L 5 -3") for x, y in ((787.5, 217), (12.5, 403), (787.5, 589))]
    left, right = "M 3 -5 L -3 0 L 3 5", "M -3 -5 L 3 0 L -3 5"
    rows = [(x, y, left if y in ys[1::2] else right) for x in (272, 528) for y in ys]
    for x, y, chevron in (*turns, *rows):
        p.path(chevron, stroke=SLATE, width=2.5, at=(x, y))
    for i, ((x, y), (name, question, colour)) in enumerate(zip(stops, LESSONS, strict=True)):
        p.body.append(f'<g class="lesson-{i:02d}">')  # the site makes a link of each
        p.rect(x - 114, y - 66, 228, 140, WHITE, colour, radius=16)
        p.dot(x - 114 + 30, y - 66 + 28, 19, colour)
        p.lines(x - 114 + 30, y - 66 + 28, [f"*{i:02d}"], 16, WHITE if colour != ORANGE else "#111")
        icon(p, i, x + 16, y - 28)
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


part_pictures = (part_encoder, part_decoder, part_reparameterisation, part_kl, course_map)
