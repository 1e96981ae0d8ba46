// The reader's own digit in a small VAE: its code, its log p(x), its posterior. vaelib/widgets/your_digit_lab.py holds
// the same.

import { drawOn, drawingButtons, openDrawing } from "../engine/drawing.js";
import { fixed } from "../engine/elements.js";
import { linspace, logSumExp, unpacked } from "../engine/maths.js";
import { smallImageOf, strokesOf } from "../engine/strokes.js";
import { forwardFit, reverseFit } from "./plane_fits.js";
import { elboOf, evidenceGrid, latentGrid, networks } from "./small_vae.js";

const SIDE = 8;
const [FINE, REACH, NARROWEST] = [41, 5, 0.05];
const LEVELS = [Math.exp(-2), Math.exp(-0.5)];
const SAME = 1e-9; // nats: one of the other images may be this one

const views = {
  code: () => ({}),

  bound({ model, grid, nodes, others }, x, mu, logVar) {
    const step = grid.xs[1] - grid.xs[0];
    const logEvidence = logSumExp(grid.logJoint(x)) + 2 * Math.log(step);
    const { elbo } = elboOf(model, x, mu, logVar, nodes);
    return { log_evidence: logEvidence, elbo, gap: logEvidence - elbo, below: others.filter((other) => other < logEvidence - SAME).length };
  },

  posterior({ model, grid, nodes }, x, mu, logVar) {
    const coarse = grid.logJoint(x);
    const logEvidence = logSumExp(coarse) + 2 * Math.log(grid.xs[1] - grid.xs[0]);
    const [mean, variance] = forwardFit(grid.xs, grid.ys, coarse);
    const width = variance.map((value) => Math.max(Math.sqrt(value), NARROWEST));
    const [xs, ys] = mean.map((m, k) => linspace(m - REACH * width[k], m + REACH * width[k], FINE));
    const logP = latentGrid(model, xs, ys).logJoint(x);
    const [best, bestVariance] = reverseFit(xs, ys, logP, mean, width.map((w) => w * w));
    const log = (values) => values.map(Math.log);
    const fits = [[mu, logVar], [mean, log(variance)], [best, log(bestVariance)]];
    const density = logP.map((value) => Math.exp(value - logEvidence));
    const top = density.reduce((a, b) => Math.max(a, b));
    return {
      forward: [...mean, ...variance.map(Math.sqrt)],
      reverse: [...best, ...bestVariance.map(Math.sqrt)],
      gaps: fits.map(([m, v]) => logEvidence - elboOf(model, x, [...m], [...v], nodes).elbo),
      window: [xs[0], xs.at(-1), ys[0], ys.at(-1)],
      density: density.map((value) => value / top),
    };
  },
};

const ring = Array.from({ length: 73 }, (_, i) => (i * 2 * Math.PI) / 72);
const ellipse = ([x, y], [a, b], k) => [ring.map((t) => x + k * a * Math.cos(t)), ring.map((t) => y + k * b * Math.sin(t))];

/** What each view draws beside the images; returns the function that moves it. */
const pictures = {
  code(stage, [plot], { codes, labels, colours, digits }) {
    for (const digit of digits) {
      const here = codes.filter((_, i) => labels[i] === digit);
      plot.dots({ colour: colours[digit], radius: 2, opacity: 0.8 })(here.map(([x]) => x), here.map(([, y]) => y));
    }
    const rings = [1, 2].map(() => plot.curve({ colour: "ink", width: 2 }));
    stage.legend(...digits.map((digit) => [String(digit), colours[digit], "dot"]), ["q(z|x): 1 and 2 standard deviations", "ink"]);
    return ({ mu, sigma }) => rings.forEach((draw, i) => draw(...ellipse(mu, sigma, i + 1)));
  },

  bound(stage, [strip, bars], { others }) {
    const heights = Array.from(others, (_, i) => 0.15 + 0.7 * ((i * 0.618034) % 1)); // spread, so that no dot hides another
    const dots = strip.dots({ colour: "grey", radius: 1.5, opacity: 0.5 });
    const here = strip.rule({ colour: "ink", width: 2.5 });
    const [sky, red] = [bars.bar({ colour: "sky" }), bars.bar({ colour: "vermillion" })];
    const top = bars.rule({ axis: "x", colour: "ink", width: 2.5 });
    stage.legend(["log p(x) of your image", "ink"], ["other images", "grey", "dot"], ["ELBO", "sky", "area"], ["gap", "vermillion", "area"]);
    return (now) => {
      strip.rangeX(Math.min(others[0], now.log_evidence) - 3, Math.max(others.at(-1), now.log_evidence) + 3);
      dots(others, heights);
      here(now.log_evidence);
      const floor = Math.floor(now.elbo) - 2;
      bars.rangeX(floor, Math.ceil(now.log_evidence) + 1);
      sky(floor, now.elbo, 0.2, 0.8);
      red(now.elbo, now.log_evidence, 0.2, 0.8);
      top(now.log_evidence);
    };
  },

  posterior(stage, [plot]) {
    const exact = plot.contour({ colour: "green", levels: LEVELS, width: 2 });
    const fits = ["orange", "blue"].map((colour) => [1, 2].map(() => plot.curve({ colour, width: 2, dash: colour === "orange" ? "6 4" : "" })));
    stage.legend(["p(z|x), exact", "green"], ["least KL(p ‖ q), forward", "orange", "dashed"], ["least KL(q ‖ p), reverse", "blue"]);
    return (now) => {
      const [x0, x1, y0, y1] = now.window;
      plot.rangeX(x0, x1);
      plot.rangeY(y0, y1);
      // The grid runs along z₁ first; the contours want rows of z₂.
      const turned = Float64Array.from(now.density, (_, at) => now.density[(at % FINE) * FINE + Math.floor(at / FINE)]);
      exact(linspace(x0, x1, FINE), linspace(y0, y1, FINE), turned);
      [now.forward, now.reverse].forEach((fit, k) =>
        fits[k].forEach((draw, i) => draw(...ellipse(fit.slice(0, 2), fit.slice(2), i + 1))));
    };
  },
};

const frames = {
  code: ({ codes }) => {
    const ends = (k) => [Math.min(...codes.map((z) => z[k])) - 0.3, Math.max(...codes.map((z) => z[k])) + 0.3];
    return [{
      share: 2, least: 300, height: 340, equal: true, x: ends(0), y: ends(1), xLabel: "z₁", yLabel: "z₂", title: "its code among others",
      alt: "The latent plane: codes of other images coloured by digit, and the ellipses of q(z|x) of your image.",
    }];
  },
  bound: ({ others }) => [
    {
      share: 2, least: 300, height: 130, x: [others[0], others.at(-1)], y: [0, 1], yTicks: 0, xLabel: "log p(x), nats",
      title: "log p(x), among other images", alt: "log p(x) of your image as a line among those of other images, each a dot.",
    },
    {
      share: 2, least: 300, height: 110, x: [-30, -10], y: [0, 1], yTicks: 0, xLabel: "nats", title: "the end of the bar, magnified",
      alt: "The end of a bar: the ELBO, and the gap up to log p(x).",
    },
  ],
  posterior: () => [{
    share: 2, least: 300, height: 320, x: [-1, 1], y: [-1, 1], xLabel: "z₁", yLabel: "z₂", title: "its posterior, magnified",
    alt: "Contours of the exact posterior at one and two standard deviations, and the ellipses of the two best normals.",
  }],
};

export default {
  prepare(data) {
    const model = networks(data.weights);
    const flat = unpacked(data.codes);
    const codes = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
    const labels = unpacked(data.labels);
    const examples = Object.fromEntries(Object.entries(data.examples).map(([name, image]) => [name, unpacked(image)]));
    const nodes = { nodes: unpacked(data.nodes.nodes), weights: unpacked(data.nodes.weights) };
    let grid = null; // the decoder over 22,801 codes takes a moment: not before it is asked for
    return {
      ...data, model, codes, labels, examples, nodes, others: unpacked(data.others),
      digits: data.colours.map((_, digit) => digit).filter((digit) => labels.includes(digit)),
      get grid() {
        return (grid ??= evidenceGrid(model));
      },
    };
  },

  numbers(ready, { image, drawing }) {
    const own = image === ready.own;
    const x = own ? smallImageOf(strokesOf(drawing), ready.radius) : Array.from(ready.examples[image]);
    const [mu, logVar] = ready.model.infer(x).map((values) => Array.from(values));
    const sigma = logVar.map((value) => Math.exp(0.5 * value));
    const rebuilt = Array.from(ready.model.decode(mu));
    return { pixels: x, mu, sigma, rebuilt, ...views[ready.view](ready, x, mu, logVar) };
  },

  opened: openDrawing,
  buttons: drawingButtons,

  draw(stage, ready) {
    const { own, radius, view } = ready;
    const square = { share: 1, least: 150, height: (width) => width - 2, bare: true, xTicks: 0, yTicks: 0 };
    const small = { ...square, x: [0, SIDE], y: [0, SIDE] };
    const [surface, seen, rebuilt, ...rest] = stage.plots(
      { ...square, least: 260, x: [0, 1], y: [1, 0], title: "draw here", alt: "The surface to draw on, with mouse, finger or pen." },
      { ...small, title: "as the model sees it", alt: "The image as 8 by 8 pixels." },
      { ...small, title: "rebuilt", alt: "What the decoder makes of the mean of q." },
      ...frames[view](ready),
    );
    surface.bar({ colour: "#000000" })(0, 1, 0, 1);
    const { left, right } = surface.box;
    const pen = surface.curve({ colour: "#ffffff", width: 2 * radius * (right - left) });
    const example = surface.image({ width: SIDE, height: SIDE });
    const images = [seen, rebuilt].map((plot) => plot.image({ width: SIDE, height: SIDE }));
    const moved = pictures[view](stage, rest, ready);
    drawOn(surface, stage);
    return (now, { image, drawing }) => {
      const strokes = image === own ? strokesOf(drawing) : [];
      const path = strokes.flatMap((stroke) => [...(stroke.length > 1 ? stroke : [stroke[0], stroke[0]]), [NaN, NaN]]);
      pen(path.map(([x]) => x), path.map(([, y]) => y));
      example([0, 1], [1, 0], (i) => 255 * now.pixels[i]);
      example.node.style.display = image === own ? "none" : "";
      images[0]([0, SIDE], [0, SIDE], (i) => 255 * now.pixels[i]);
      images[1]([0, SIDE], [0, SIDE], (i) => 255 * now.rebuilt[i]);
      moved(now);
    };
  },

  readout(now, { image, drawing }, memory, { view, own, others }) {
    if (image === own && !drawing) return ["Draw a digit on the black square, or choose an image below."];
    const code = `q(z|x): z₁ ${fixed(now.mu[0], 2)} ± ${fixed(now.sigma[0], 2)}, z₂ ${fixed(now.mu[1], 2)} ± ${fixed(now.sigma[1], 2)}`;
    if (view === "code") return [code];
    if (view === "bound") {
      return [
        `log p(x) ${fixed(now.log_evidence, 2)} = ELBO ${fixed(now.elbo, 2)} + gap ${fixed(now.gap, 2)} nats`,
        `${now.below} of ${others.length} other images are less probable than this one`,
      ];
    }
    const [encoder, forward, reverse] = now.gaps.map((gap) => fixed(gap, 3));
    return [
      `KL(q ‖ p(z|x)), the gap of the ELBO: reverse fit ${reverse}, forward fit ${forward}, the encoder's q ${encoder} nats`,
      `standard deviations: reverse ${fixed(now.reverse[2], 3)} and ${fixed(now.reverse[3], 3)}, forward ${fixed(now.forward[2], 3)} and ${fixed(now.forward[3], 3)}`,
    ];
  },
};
