"""The architecture of each part of the model, with shapes."""

from svg import BLUE, GREEN, INK, ORANGE, PURPLE, SKY, SLATE, WHITE, Picture, dark, mix


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


part_pictures = (part_encoder, part_decoder, part_reparameterisation, part_kl)
