"""Draw the diagrams of the course: `python images/draw.py [folder]` writes every SVG, by default beside this script."""

import sys
from pathlib import Path

from course_map import course_map
from divergences import forward_reverse_kl
from parts import digit_two, part_pictures
from svg import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    SLATE,
    VERMILLION,
    WHITE,
    Picture,
    dark,
    mix,
    tint,
)  # fmt: skip


def encoder_decoder():
    p = Picture(
        "encoder_decoder",
        "An autoencoder: encoder, bottleneck, decoder",
        "An image x of 784 pixels passes through an encoder whose layers narrow to a code z of two numbers, and "
        "through a decoder whose layers widen again to a reconstruction of 784 pixels. The loss compares the two.",
        height=420,
    )
    mid = 200
    columns = [(208, 9, SLATE), (300, 5, BLUE), (400, 2, GREEN), (500, 5, ORANGE), (592, 9, SLATE)]
    p.polygon([(176, 68), (368, 150), (368, 250), (176, 332)], BLUE)
    p.polygon([(624, 68), (432, 150), (432, 250), (624, 332)], ORANGE)
    p.rect(378, 152, 44, 96, tint(GREEN), GREEN)
    heights = [[mid + 26 * (i - (n - 1) / 2) for i in range(n)] for _, n, _ in columns]
    xs = [x for x, _, _ in columns]
    for xa, xb, ya, yb in zip(xs, xs[1:], heights, heights[1:], strict=False):
        for a in ya:
            for b in yb:
                if not (len(ya) > 2 and a == mid) and not (len(yb) > 2 and b == mid):
                    p.curve([(xa, a), (xb, b)], stroke=mix(BLUE if xb <= 400 else ORANGE, WHITE, 0.55), width=0.8)
    for (x, n, colour), ys in zip(columns, heights, strict=True):
        for y in ys:
            if n > 2 and y == mid:  # units left out
                for step in (-6, 0, 6):
                    p.dot(x, y + step, 1.8, SLATE)
            else:
                p.dot(x, y, 8, mix(colour, WHITE, 0.35), dark(colour, 0.2))
    p.pixels(26, mid - 52, 104, digit_two(blur=0.6))
    p.pixels(670, mid - 52, 104, digit_two(blur=2.0))
    p.arrow((138, mid), (170, mid), SLATE)
    p.arrow((630, mid), (662, mid), SLATE)
    p.text(78, 132, "image $x$", 17)
    p.text(722, 132, "$x′$", 17)
    p.text(244, 52, "encoder", 20, dark(BLUE), bold=True)
    p.text(556, 52, "decoder", 20, dark(ORANGE), bold=True)
    p.text(400, 52, "bottleneck", 20, dark(GREEN), bold=True)
    p.text(400, 136, "code $z$", 17)
    p.arrow((400, 64), (400, 112), GREEN)
    for x, label in ((208, "784"), (300, "200"), (400, "2"), (500, "200"), (592, "784")):
        p.text(x, 356, label, 16, SLATE)
    p.path(["M", 78, 268, "C", 78, 410, 230, 392, 262, 392], stroke=GREY, dash="2 7")
    p.path(["M", 722, 268, "C", 722, 410, 570, 392, 538, 392], stroke=GREY, dash="2 7")
    p.text(400, 398, "loss: how far is $x′$ from $x$?", 17)
    return p


def graphical_model():
    p = Picture(
        "graphical_model",
        "The latent variable model as a directed graph",
        "Inside a plate repeated for N examples, a latent circle z points to an observed circle x with a solid arrow: "
        "the generative model. A dashed arrow from x back to z is the inference model. The parameters theta point to x "
        "and phi to z from outside the plate.",
        height=400,
    )
    p.rect(120, 40, 210, 320, "#F7F9FA", GREY, radius=18)
    p.text(312, 346, "$N$", 18, anchor="end")
    p.arrow((222, 142), (222, 246), ORANGE, 3, bend=18)
    p.arrow((198, 246), (198, 142), BLUE, 3, bend=18, dash="7 7")
    p.circle(210, 110, 36, GREEN, "$z$", 26, fill=WHITE)
    p.circle(210, 280, 36, SLATE, "$x$", 26, fill="#D5DBE1")
    p.lines(56, 110, ["$φ$"], 26, dark(BLUE))
    p.lines(386, 280, ["$θ$"], 26, dark(ORANGE))
    p.arrow((74, 110), (170, 110), BLUE, 3, dash="7 7")
    p.arrow((370, 280), (250, 280), ORANGE, 3)
    p.curve([(440, 60), (440, 340)], stroke=mix(GREY, WHITE, 0.5), width=1.5)
    p.circle(490, 76, 16, GREEN, fill=WHITE)
    p.text(528, 72, "latent: never seen", 16, anchor="start")
    p.text(528, 94, "prior $p(z)$", 16, dark(PURPLE), "start")
    p.circle(490, 150, 16, SLATE, fill="#D5DBE1")
    p.text(528, 156, "observed: the data", 16, anchor="start")
    p.arrow((470, 216), (512, 216), ORANGE, 3)
    p.text(528, 212, "generative model, solid", 16, anchor="start")
    p.text(528, 236, "likelihood $p_θ(x|z)$", 16, dark(ORANGE), "start")
    p.arrow((468, 286), (512, 286), BLUE, 3, dash="7 7")
    p.text(528, 282, "inference model, dashed", 16, anchor="start")
    p.text(528, 306, "$q_φ(z|x)$ in place of $p_θ(z|x)$", 16, dark(BLUE), "start")
    p.rect(474, 334, 32, 22, "#F7F9FA", GREY, radius=5)
    p.text(528, 350, "plate: once for each example", 16, anchor="start")
    return p


def reparameterisation():
    p = Picture(
        "reparameterisation",
        "A stochastic node before and after reparameterisation",
        "Left: mu and sigma feed a random node z, which feeds f. The gradient flows from f to z and stops there, "
        "since z is sampled. Right: z is computed as mu plus sigma times epsilon, with epsilon the only random "
        "node, so the gradient flows from f through z to mu and sigma.",
        height=560,
    )
    p.text(200, 46, "before", 21, bold=True)
    p.text(600, 46, "after", 21, bold=True)
    p.curve([(400, 30), (400, 486)], stroke=mix(GREY, WHITE, 0.5), width=1.5)
    for cx, after in ((200, False), (600, True)):
        left, right = cx - 72, cx + 72
        p.arrow((cx - 8, 204), (cx - 8, 130), SLATE)
        p.arrow((left - 8, 334), (cx - 34, 266 if after else 260), SLATE)
        p.arrow((right + 8, 334), (cx + 34, 266 if after else 260), SLATE)
        p.arrow((cx - 26, 438), (left - 8, 392), SLATE)
        p.arrow((cx + 26, 438), (right + 8, 392), SLATE)
        p.arrow((cx + 8, 130), (cx + 8, 204), VERMILLION, 3)
        p.text(cx + 24, 172, "$∂f/∂z$", 16, dark(VERMILLION), "start")
        p.box(cx, 100, 56, 52, SLATE, ["$f$"], 24)
        p.box(left, 362, 52, 50, BLUE, ["$μ$"], 24)
        p.box(right, 362, 52, 50, BLUE, ["$σ$"], 24)
        p.box(cx, 462, 60, 44, BLUE, ["$φ$"], 24)
        if after:
            p.box(cx, 238, 60, 60, GREEN, ["$z$"], 26)
            p.circle(cx + 136, 238, 30, SKY, "$ε$", 26)
            p.arrow((cx + 104, 238), (cx + 36, 238), SLATE)
            p.text(cx - 42, 230, "$z = μ + σ ⊙ ε$", 17, INK, "end")
            p.text(cx + 136, 194, "$ε ∼ N(0, I)$", 17)
            p.arrow((cx - 16, 274), (left + 12, 332), VERMILLION, 3)
            p.arrow((cx + 16, 274), (right - 12, 332), VERMILLION, 3)
            p.arrow((left + 8, 390), (cx - 12, 436), VERMILLION, 3)
            p.arrow((right - 8, 390), (cx + 12, 436), VERMILLION, 3)
            p.text(left - 2, 300, "$∂z/∂μ = 1$", 16, dark(VERMILLION), "end")
            p.text(right + 2, 300, "$∂z/∂σ = ε$", 16, dark(VERMILLION), "start")
        else:
            p.circle(cx, 238, 32, GREEN, "$z$", 26)
            p.text(cx - 44, 236, "$z ∼ N(μ, σ^2)$", 17, INK, "end")
            for side in (-1, 1):
                x, y = cx + side * 28, 312
                p.curve([(cx + side * 15, 277), (cx + side * 22, 295)], stroke=VERMILLION, width=3, dash="5 6")
                p.curve([(x - 8, y - 8), (x + 8, y + 8)], stroke=VERMILLION, width=4)
                p.curve([(x - 8, y + 8), (x + 8, y - 8)], stroke=VERMILLION, width=4)
            p.lines(cx + 118, 238, ["sampling stops", "the gradient"], 16, dark(VERMILLION))
    y = 528
    p.circle(66, y, 12, SLATE)
    p.text(86, y + 5, "random", 15, anchor="start")
    p.box(196, y, 23, 23, SLATE, radius=4)
    p.text(216, y + 5, "deterministic", 15, anchor="start")
    p.arrow((360, y), (404, y), SLATE)
    p.text(414, y + 5, "computed upwards", 15, anchor="start")
    p.arrow((592, y), (636, y), VERMILLION, 3)
    p.text(646, y + 5, "gradient", 15, anchor="start")
    return p


def vae_two_pictures():
    p = Picture(
        "vae_two_pictures",
        "The variational autoencoder as a probabilistic and as a neural picture",
        "Left, the graph: prior p(z), latent z, observed x, likelihood p(x|z) downwards and q(z|x) upwards. Right, the "
        "network with the same colours: the encoder rises from x to mu and log sigma squared, noise gives z, and the "
        "decoder descends to the reconstruction. Reconstruction and KL add up to the loss.",
        height=580,
    )
    p.text(170, 44, "probabilistic", 21, bold=True)
    p.text(570, 44, "neural", 21, bold=True)
    p.curve([(320, 30), (320, 492)], stroke=mix(GREY, WHITE, 0.5), width=1.5)
    p.box(170, 88, 84, 40, PURPLE, ["$p(z)$"], 19)
    p.arrow((170, 110), (170, 146), PURPLE, 3)
    p.arrow((184, 224), (184, 394), ORANGE, 4, bend=24)
    p.arrow((156, 394), (156, 224), BLUE, 4, bend=24, dash="9 8")
    p.circle(170, 186, 36, GREEN, "$z$", 26)
    p.circle(170, 432, 36, SLATE, "$x$", 26, fill="#D5DBE1")
    p.lines(74, 306, ["$q_φ(z|x)$"], 19, dark(BLUE))
    p.lines(264, 306, ["$p_θ(x|z)$"], 19, dark(ORANGE))
    # The network: up on the left, across the top, down on the right.
    p.box(430, 432, 110, 48, SLATE, ["$x$"], 24)
    p.arrow((430, 406), (430, 384), SLATE)
    p.polygon([(372, 380), (488, 380), (462, 300), (398, 300)], BLUE)
    p.lines(430, 342, ["encoder"], 17, dark(BLUE))
    p.arrow((430, 298), (430, 278), SLATE)
    p.rect(350, 216, 160, 60, "#F3F8FC", mix(BLUE, WHITE, 0.5), 1.5, dash="4 4")
    p.box(388, 246, 54, 42, BLUE, ["$μ$"], 22)
    p.box(462, 246, 78, 42, BLUE, ["$log σ^2$"], 17)
    p.box(430, 152, 126, 44, PURPLE, ["KL to $p(z)$"], 17)
    p.arrow((430, 213), (430, 177), PURPLE, 2.5)
    p.arrow((513, 240), (600, 200), SLATE)
    p.circle(682, 96, 28, SKY, "$ε$", 24)
    p.arrow((682, 126), (682, 156), SLATE)
    p.box(682, 182, 150, 46, GREEN, ["$z = μ + σ ⊙ ε$"], 18)
    p.arrow((682, 207), (682, 266), SLATE)
    p.polygon([(650, 270), (714, 270), (740, 380), (624, 380)], ORANGE)
    p.lines(682, 328, ["decoder"], 17, dark(ORANGE))
    p.arrow((682, 382), (682, 406), SLATE)
    p.box(682, 432, 132, 48, ORANGE, ["$p_θ(x|z)$"], 20)
    p.arrow((614, 432), (488, 432), ORANGE, 2.5, dash="2 7")
    p.lines(552, 410, ["how likely is $x$?"], 15, dark(ORANGE))
    p.rect(60, 504, 680, 54, "#F7F9FA", radius=14)
    p.text(102, 537, "loss", 18, bold=True, anchor="start")
    p.text(172, 537, "=", 18)
    p.box(312, 531, 240, 38, ORANGE, ["$− E_q[log p_θ(x|z)]$"], 18)
    p.text(454, 537, "+", 18)
    p.box(596, 531, 240, 38, PURPLE, ["$KL(q_φ(z|x) ‖ p(z))$"], 18)
    return p


def main(folder):
    pictures = (
        encoder_decoder,
        graphical_model,
        forward_reverse_kl,
        reparameterisation,
        vae_two_pictures,
        *part_pictures,
        course_map,
    )
    for draw in pictures:
        picture = draw()
        (folder / f"{picture.name}.svg").write_text(str(picture), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
