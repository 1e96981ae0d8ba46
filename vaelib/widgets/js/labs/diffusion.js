// Lesson 20: drag the schedule, add layers, and watch the bound of a diffusion close on −log p.
// vaelib/widgets/diffusion_lab.py holds the same.

import { fixed } from "../engine/elements.js";
import { linspace, sum } from "../engine/maths.js";

const logCosh = (u) => Math.abs(u) + Math.log1p(Math.exp(-2 * Math.abs(u))) - Math.LN2;
const pairs = (xs) => xs.slice(1).map((x, i) => [xs[i], x]);
const count = (log10) => Math.floor(10 ** log10 + 0.5);

/** The signal-to-noise ratio at t = 0, 1/T, ..., 1, of a schedule in straight pieces of log10 SNR. */
function snrs(levels, layers) {
  const pieces = levels.length - 1;
  return linspace(0, 1, layers + 1).map((t) => {
    const k = Math.min(pieces - 1, Math.floor(t * pieces));
    return 10 ** (levels[k] + (t * pieces - k) * (levels[k + 1] - levels[k]));
  });
}

/** E (x − E[x|z])² and I(x; z) of the two bumps, functions of the signal-to-noise ratio. */
function twoBumps([middle, widthSquare], [reach, nodes]) {
  const y = linspace(-reach, reach, nodes);
  const weights = y.map((each) => (Math.exp(-0.5 * each * each) / Math.sqrt(2 * Math.PI)) * (y[1] - y[0]));
  const over = (f) => y.reduce((total, each, i) => total + weights[i] * f(each), 0);
  const parts = (snr) => {
    const [signal, share] = [snr / (1 + snr), 1 / (1 + snr)];
    const v = signal * widthSquare + share;
    return [share, v, middle * Math.sqrt(signal / v)];
  };
  return {
    mmse(snr) {
      const [share, v, a] = parts(snr);
      const overlap = Math.exp(-0.5 * a * a) * over((each) => 1 / Math.cosh(a * each));
      return (widthSquare * share) / v + ((middle * share) / v) ** 2 * overlap;
    },
    information(snr) {
      const [share, v, a] = parts(snr);
      return 0.5 * Math.log(v / share) + a * a - over((each) => logCosh(a * (a + each)));
    },
  };
}

const oneBump = { mmse: (snr) => 1 / (1 + snr), information: (snr) => 0.5 * Math.log1p(snr) };

function costs(levels, layers, mmse) {
  const snr = snrs(levels, layers);
  return Array.from({ length: layers }, (_, i) => 0.5 * (snr[i] - snr[i + 1]) * mmse(snr[i + 1]));
}

// Shapes between two ends, all of log10 SNR.
const SHAPES = {
  Straight: (high, low) => (t) => high + t * (low - high),
  Cosine: (high, low) => {
    const [start, end] = [high, low].map((each) => Math.atan(10 ** (-0.5 * each)));
    return (t) => -2 * Math.log10(Math.tan(start + t * (end - start)));
  },
  Level: (high, low) => {
    const [start, end] = [high, low].map((each) => Math.log1p(10 ** each));
    return (t) => Math.log10(Math.expm1(start + t * (end - start)));
  },
};

const knots = (values) => Object.keys(values).filter((name) => name.startsWith("knot_"));

export default {
  prepare: (data) => ({ ...data, kinds: [oneBump, twoBumps(data.bumps, data.nodes)] }),

  numbers({ names, entropies, kinds, apart, piece, counts }, values) {
    const which = names.indexOf(values.data);
    const { mmse, information } = kinds[which];
    const layers = count(values.log_layers);
    const levels = knots(values).map((name) => values[name]);
    for (let k = 1; k < levels.length; k++) levels[k] = Math.min(levels[k], levels[k - 1] - apart);
    const kls = costs(levels, layers, mmse);
    const evidence = entropies[which];
    const [high, low] = [10 ** levels[0], 10 ** levels.at(-1)];
    const reconstruction = evidence - information(high);
    const prior = 0.5 * Math.log1p(low);
    const rest = reconstruction + prior;
    const straight = Array.from(linspace(levels[0], levels.at(-1), levels.length));
    const density = pairs(levels).flatMap(([a, b]) => Array.from(linspace(a, b, piece), (level) =>
      -0.5 * Math.LN10 * (b - a) * (levels.length - 1) * 10 ** level * mmse(10 ** level)));
    const gaps = (of) => counts.map((each) => sum(costs(of, each, mmse)) + rest - evidence);
    return {
      levels, heights: kls.map((each) => layers * each), density, reconstruction, diffusion: sum(kls), prior,
      total: sum(kls) + rest, evidence, limit: evidence + prior - information(low),
      gaps: gaps(levels), straight_gaps: gaps(straight),
    };
  },

  draw(stage, { apart, highest, piece, counts, tops }) {
    const names = knots(stage.start);
    const times = linspace(0, 1, names.length);
    const most = highest + 0.3;
    const [schedule, layers] = stage.plots(
      {
        share: 1, least: 300, height: 270, x: [-0.04, 1.04], y: [-most, most], xLabel: "t, from the data to the noise",
        yLabel: "log₁₀ SNR", title: "the schedule: drag it", alt: "The schedule with six handles.",
      },
      {
        share: 1, least: 300, height: 270, x: [0, 1], y: [0, 50], xLabel: "t", yLabel: "nats per unit of t",
        title: "KL of each layer: its area", alt: "A bar for each layer, and the curve that they approach.",
      },
    );
    const [bound, gap] = stage.plots(
      {
        share: 1, least: 300, height: 210, x: [0, 50], y: [0, 1], yTicks: 0, xLabel: "nats",
        title: "the bound closes on −log p", alt: "The bound as a bar, and −log p as a line.",
      },
      {
        share: 1, least: 300, height: 210, x: [0.8, 1300], y: [1e-3, 1e3], xScale: "log", yScale: "log",
        xLabel: "T, layers", yLabel: "bound + log p", title: "its gap, nats", alt: "The gap against the layers.",
      },
    );
    const curve = schedule.curve({ colour: "blue" });
    const dots = schedule.dots({ colour: "orange", radius: 3, opacity: 1 });
    const handles = names.map((name, k) => schedule.handle({
      label: `the schedule at t = ${fixed(times[k], 1)}`, colour: "blue", moves: { up: name }, cursor: "ns-resize",
      drag: (_, y) => {
        const { values } = stage;
        // Between its neighbours: a schedule falls.
        const above = k ? values[names[k - 1]] - apart : highest;
        const below = k + 1 < names.length ? values[names[k + 1]] + apart : -highest;
        return { [name]: Math.max(-highest, below, Math.min(highest, above, y)) };
      },
    }));
    const area = layers.area({ colour: "orange", opacity: 0.5 });
    const stairs = layers.curve({ colour: "orange", width: 1.5 });
    const limit = layers.curve({ colour: "ink" });
    const at = pairs(Array.from(times)).flatMap(([a, b]) => Array.from(linspace(a, b, piece)));
    const bar = bound.bar({ colour: "orange" });
    const evidence = bound.rule({ colour: "grey", width: 4 });
    const dashed = gap.curve({ colour: "purple", dash: "5 4" });
    const line = gap.curve({ colour: "blue" });
    const marks = gap.dots({ colour: "blue", radius: 4, opacity: 1 });
    const here = gap.dots({ colour: "orange", radius: 6, opacity: 1 });
    stage.legend(
      ["schedule", "blue"], ["layers, and their bound", "orange", "area"], ["T → ∞", "ink"], ["−log p", "grey"],
      ["straight schedule, same ends", "purple", "dashed"],
    );
    const topOf = (nats) => tops.find((top) => top >= nats) ?? tops.at(-1);
    return (now) => {
      const number = now.heights.length;
      curve(times, now.levels);
      const shown = number <= 64 ? linspace(0, 1, number + 1) : [];
      const pieces = now.levels.length - 1;
      dots(shown, Array.from(shown, (t) => {
        const k = Math.min(pieces - 1, Math.floor(t * pieces));
        return now.levels[k] + (t * pieces - k) * (now.levels[k + 1] - now.levels[k]);
      }));
      handles.forEach((put, k) => put(times[k], now.levels[k]));
      layers.rangeY(0, topOf(Math.max(...now.heights, ...now.density)));
      const edges = linspace(0, 1, number + 1);
      const xs = now.heights.flatMap((_, i) => [edges[i], edges[i + 1]]);
      const ys = now.heights.flatMap((height) => [height, height]);
      area(xs, ys);
      stairs(xs, ys);
      limit(at, now.density);
      bound.rangeX(0, topOf(now.total));
      bar(0, now.total, 0.25, 0.75);
      evidence(now.evidence);
      dashed(counts, now.straight_gaps);
      line(counts, now.gaps);
      marks(counts, now.gaps);
      here([number], [now.total - now.evidence]);
    };
  },

  buttons(stage) {
    for (const [name, shape] of Object.entries(SHAPES)) {
      stage.button(name, () => {
        const { values } = stage;
        const all = knots(values);
        const levels = SHAPES[name](values[all[0]], values[all.at(-1)]);
        const inner = all.slice(1, -1).map((each, k) => [each, levels((k + 1) / (all.length - 1))]);
        stage.set(Object.fromEntries(inner));
      });
    }
  },

  readout(now) {
    const { heights, reconstruction, diffusion, prior, total, evidence } = now;
    return [
      `T = ${heights.length}: bound ${fixed(total)} nats, −log p ${fixed(evidence)}, gap ${fixed(total - evidence, 4)}`,
      `reconstruction ${fixed(reconstruction)} + layers ${fixed(diffusion)} + top ${fixed(prior, 4)} nats`,
    ];
  },
};
