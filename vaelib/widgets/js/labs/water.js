// Lesson 16: water over the eigen-digits; what stands above it is coded. vaelib/widgets/water_lab.py holds the same.

import { drawOn, drawingButtons, openDrawing } from "../engine/drawing.js";
import { fixed } from "../engine/elements.js";
import { sum, unpacked } from "../engine/maths.js";
import { imageOf, SIDE, strokesOf } from "../engine/strokes.js";

const GREYS = 127; // steps of grey on each side of an eigen-digit's zero
const PIXELS = SIDE * SIDE;
const BAR = 0.4; // half the width of a bar

const rateAt = (variances, level) => sum(variances.map((each) => (each > level ? 0.5 * Math.log(each / level) : 0)));
const errorAt = (variances, level) => sum(variances.map((each) => Math.min(each, level)));

/** The level at which so many nats are spent, between the ends of the levels: halved until nobody sees a difference. */
function levelOf({ variances, levels }, rate) {
  let [low, high] = [levels[0], levels.at(-1)];
  for (let i = 0; i < 40; i++) {
    const middle = 0.5 * (low + high);
    if (rateAt(variances, middle) > rate) low = middle;
    else high = middle;
  }
  return 0.5 * (low + high);
}

/** A sum of eigen-digits with these weights. */
function mixed({ directions }, weights) {
  const total = new Float64Array(PIXELS);
  weights.forEach((weight, k) => {
    if (weight === 0) return;
    for (let i = 0; i < PIXELS; i++) total[i] += weight * directions[k][i];
  });
  return total;
}

export default {
  prepare(data) {
    const greys = unpacked(data.directions);
    const peaks = Array.from(unpacked(data.peaks));
    const variances = Array.from(unpacked(data.variances));
    const pixelsOf = (packed) => Array.from(unpacked(packed), (grey) => grey / 255);
    const directions = peaks.map((peak, k) =>
      Float64Array.from(greys.subarray(k * PIXELS, (k + 1) * PIXELS), (grey) => (peak * (grey - GREYS - 1)) / GREYS));
    return {
      ...data, peaks, variances, directions, mean: pixelsOf(data.mean),
      examples: Object.fromEntries(Object.entries(data.examples).map(([name, packed]) => [name, pixelsOf(packed)])),
      curveRates: data.levels.map((level) => rateAt(variances, level)),
      curveErrors: data.levels.map((level) => errorAt(variances, level) + data.rest),
    };
  },

  numbers(ready, { level, image, drawing }) {
    const { variances, mean, directions, noise, rest } = ready;
    const x = image === ready.own
      ? imageOf(strokesOf(drawing), ready.radius).map((grey) => grey / 255) : ready.examples[image];
    const alive = variances.map((each) => each > level);
    const kept = variances.map((each, k) => (alive[k] ? 1 - level / each : 0));
    const projected = directions.map((direction) => direction.reduce((total, u, i) => total + u * (x[i] - mean[i]), 0));
    const smooth = mixed(ready, kept.map((share, k) => share * projected[k]));
    const rough = mixed(ready, kept.map((share, k) => Math.sqrt(share * level) * noise[k]));
    const rebuilt = mean.map((value, i) => value + smooth[i]);
    const drawn = rebuilt.map((value, i) => value + rough[i]);
    const rates = variances.map((each, k) => (alive[k] ? 0.5 * Math.log(each / level) : 0));
    const errors = variances.map((each) => Math.min(each, level));
    return {
      alive: alive.filter(Boolean).length,
      rates, errors,
      rate: sum(rates),
      error: sum(errors) + rest,
      pixels: x, rebuilt, drawn,
      missed: drawn.reduce((total, value, i) => total + (x[i] - value) ** 2, 0),
      curve_rates: ready.curveRates,
      curve_errors: ready.curveErrors,
    };
  },

  opened: openDrawing,
  buttons: drawingButtons,

  draw(stage, ready) {
    const { own, radius, variances, levels, curveRates, curveErrors, directions, peaks } = ready;
    const count = variances.length;
    const floor = 0.8 * levels[0];
    const [bars, curve] = stage.plots(
      {
        share: 1.9, least: 330, height: 290, x: [0.3, count + 0.7], y: [floor, 1.3 * levels.at(-1)], yScale: "log",
        xLabel: "eigen-digit", yLabel: "variance λ", title: "drag the water",
        alt: "The variance of each eigen-digit as a bar; what stands above the water is coded.",
      },
      {
        share: 1, least: 260, height: 290, x: [0, 1.05 * curveRates[0]], y: [0, 1.05 * curveErrors.at(-1)],
        xLabel: "rate, nats", yLabel: "squared error", title: "drag the point along the curve",
        alt: "The squared error that is left against the rate, for every level of the water.",
      },
    );
    const square = { share: 1, least: 140, height: (width) => width - 2, bare: true, xTicks: 0, yTicks: 0 };
    const small = { ...square, x: [0, SIDE], y: [0, SIDE] };
    const [surface, rebuilt, drawn, weakest] = stage.plots(
      { ...square, x: [0, 1], y: [1, 0], title: "draw a digit here", alt: "The surface to draw on, with mouse, finger or pen." },
      { ...small, title: "from the mean of q", alt: "The digit decoded from the mean of q." },
      { ...small, title: "from a draw of q", alt: "The digit decoded from a draw of q." },
      { ...small, title: "the weakest coded", alt: "The eigen-digit of the smallest variance above the water." },
    );
    const water = bars.area({ colour: "sky", opacity: 0.2 });
    const lost = variances.map(() => bars.bar({ colour: "orange" }));
    const dark = variances.map(() => bars.bar({ colour: "grey" }));
    const coded = variances.map(() => bars.bar({ colour: "blue" }));
    const line = bars.rule({ colour: "sky", axis: "y", width: 2 });
    const all = curve.curve({ colour: "ink" });
    const hold = bars.handle({
      label: "the water over the variances", colour: "sky", moves: { up: "level" }, cursor: "ns-resize",
      drag: (_, y) => ({ level: y }),
    });
    const point = curve.handle({
      label: "the point on the curve", colour: "blue", moves: { across: "level" }, turned: ["level"], cursor: "ew-resize",
      drag: (rate) => ({ level: levelOf(ready, rate) }),
    });
    stage.legend(
      ["above the water: coded", "blue", "area"], ["below: what is lost of a coded one", "orange", "area"],
      ["lost whole", "grey", "area"],
    );
    surface.bar({ colour: "#000000" })(0, 1, 0, 1);
    const { left, right } = surface.box;
    const pen = surface.curve({ colour: "#ffffff", width: 2 * radius * (right - left) });
    const example = surface.image({ width: SIDE, height: SIDE });
    const images = [rebuilt, drawn, weakest].map((plot) => plot.image({ width: SIDE, height: SIDE }));
    drawOn(surface, stage);
    const box = [[0, SIDE], [0, SIDE]];
    return (now, { level, image, drawing }) => {
      water([0.3, count + 0.7], [level, level], floor);
      line(level);
      variances.forEach((each, k) => {
        const above = each > level;
        lost[k](k + 1 - BAR, k + 1 + BAR, floor, above ? level : floor);
        dark[k](k + 1 - BAR, k + 1 + BAR, floor, above ? floor : each);
        coded[k](k + 1 - BAR, k + 1 + BAR, above ? level : floor, above ? each : floor);
      });
      hold(0.9 * count, level);
      all(curveRates, curveErrors);
      point(now.rate, now.error);
      const strokes = image === own ? strokesOf(drawing) : [];
      const path = strokes.flatMap((stroke) => [...(stroke.length > 1 ? stroke : [stroke[0], stroke[0]]), [NaN, NaN]]);
      pen(path.map(([x]) => x), path.map(([, y]) => y));
      example([0, 1], [1, 0], (i) => 255 * now.pixels[i]);
      example.node.style.display = image === own ? "none" : "";
      images[0](...box, (i) => 255 * now.rebuilt[i]);
      images[1](...box, (i) => 255 * now.drawn[i]);
      const last = now.alive - 1;
      images[2](...box, (i) => (last < 0 ? 127.5 : 127.5 * (1 + directions[last][i] / peaks[last])));
    };
  },

  readout(now, { level, image, drawing }, memory, { own, variances }) {
    const last = now.alive - 1;
    const whole = `rate ${fixed(now.rate, 2)} nats, squared error ${fixed(now.error, 2)} per digit`;
    return [
      `θ = ${fixed(level, 2)}: eigen-digits coded ${now.alive}, ${whole}`,
      last < 0
        ? "the water covers all: nothing is coded, and every digit comes back as the mean digit"
        : `number ${now.alive}, the weakest of them: variance ${fixed(variances[last], 2)}, ` +
          `${fixed(now.rates[last], 3)} nats, squared error ${fixed(now.errors[last], 2)}`,
      image === own && !drawing
        ? "draw a digit on the black square, or choose one below"
        : `this digit, from the draw: squared error ${fixed(now.missed, 1)}`,
    ];
  },
};
