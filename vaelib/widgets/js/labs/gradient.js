// Lesson 05: how single estimates of one gradient scatter. vaelib/widgets/gradient_lab.py holds the same.

import { fixed } from "../engine/elements.js";
import { linspace, logNormal, sum, unpacked } from "../engine/maths.js";
import { normal, remembered, uniform } from "../engine/random.js";

// By the names that Python gives them: f and its derivative.
const FUNCTIONS = {
  "z²": [(z) => z * z, (z) => 2 * z],
  "exp z": [Math.exp, Math.exp],
  "sin z": [Math.sin, Math.cos],
  "|z|": [Math.abs, Math.sign],
  "sin 10z": [(z) => Math.sin(10 * z), (z) => 10 * Math.cos(10 * z)],
  "step at 0": [(z) => (z > 0 ? 1 : 0), () => 0],
};
const STRIPS = [
  ["score", "purple", "score function"], ["baseline", "vermillion", "with baseline"], ["pathwise", "sky", "pathwise"],
];
const PEAK = 1 / Math.sqrt(2 * Math.PI); // of a standard normal

/** E[f(μ + σ ε) g(ε)], ε ~ N(0, 1): Gauss-Legendre between Python's edges, and the places where f jumps or bends. */
function expectation({ x, weights, edges }, breaks, f, g, mu, std) {
  const cuts = breaks.map((place) => (place - mu) / std).filter((cut) => Math.abs(cut) < edges.at(-1));
  const all = [...new Set([...edges, ...cuts])].sort((a, b) => a - b);
  let total = 0;
  for (let i = 1; i < all.length; i++) {
    const half = (all[i] - all[i - 1]) / 2;
    for (let k = 0; k < x.length; k++) {
      const eps = all[i - 1] + half + half * x[k];
      total += half * weights[k] * Math.exp(logNormal(eps, 0, 0)) * f(mu + std * eps) * g(eps);
    }
  }
  return total;
}

export default {
  prepare(data) {
    const { functions, nodes, z, repeats, most } = data;
    return {
      ...data, functions, repeats, most,
      z: linspace(...z),
      nodes: { x: unpacked(nodes.x), weights: unpacked(nodes.weights), edges: nodes.edges },
      noise: remembered((seed) => normal(seed, repeats * most)),
      // How far each dot stands above or below its strip's middle, for the eye alone.
      jitter: remembered((seed) => uniform(seed, repeats, repeats * most).map((u) => 0.6 * u - 0.3)),
    };
  },

  numbers({ functions, nodes, z, highest, repeats, most, noise }, values) {
    const { mu, log_var: logVar, num_samples: count, seed } = values;
    const [f, df] = FUNCTIONS[values.function];
    const { breaks, widest } = functions[values.function];
    const std = Math.exp(0.5 * logVar);
    const mean = expectation(nodes, breaks, f, () => 1, mu, std);
    const exact = expectation(nodes, breaks, f, (eps) => eps, mu, std) / std;
    const all = noise(seed);
    const estimates = (one) =>
      Float64Array.from({ length: repeats }, (_, i) => {
        let total = 0;
        for (let k = 0; k < count; k++) total += one(all[i * most + k]);
        return total / count;
      });
    const strips = {
      score: estimates((eps) => (f(mu + std * eps) * eps) / std),
      baseline: estimates((eps) => ((f(mu + std * eps) - mean) * eps) / std),
      pathwise: estimates((eps) => df(mu + std * eps)),
    };
    const dots = Object.values(strips);
    const means = dots.map((strip) => sum(strip) / repeats);
    const spread = dots.map((strip, k) => Math.sqrt(sum(strip.map((each) => (each - means[k]) ** 2)) / (repeats - 1)));
    const heights = z.map(f);
    const height = Math.min(Math.max(...heights.map(Math.abs)), highest);
    return {
      exact, ...strips, mean: means, spread,
      outside: sum(dots.map((strip) => strip.filter((each) => Math.abs(each) > widest).length)),
      density: z.map((at) => Math.exp(logNormal(at, mu, logVar))),
      f: heights.map((value) => (Math.abs(value) <= highest ? value / height : NaN)),
    };
  },

  draw(stage, { functions, z, jitter }) {
    const { widest } = functions[stage.values.function];
    const [left, right] = stage.plots(
      {
        share: 1, least: 300, height: 320, x: [z[0], z.at(-1)], y: [-1.1, 1.7], xLabel: "z", yLabel: "q, and f scaled",
        alt: "The density q and the function f over z.", title: "drag q: its peak is μ, its flank σ",
      },
      {
        share: 1.5, least: 330, height: 320, x: [-widest, widest], y: [-0.5, 2.75], xLabel: "estimate of ∂E[f(z)]/∂μ",
        yTicks: [0, 1, 2], yNames: { 2: STRIPS[0][2], 1: STRIPS[1][2], 0: STRIPS[2][2] }, roomLeft: 48,
        alt: "A strip of dots for each estimator, and a line at the exact gradient.", title: "each dot is one estimate",
      },
    );
    left.rule({ colour: "line", axis: "y", width: 1 })(0);
    const shape = left.curve({ colour: "orange" });
    const area = left.area({ colour: "blue" });
    const curve = left.curve({ colour: "blue" });
    const peak = left.handle({
      label: "the peak of q: its mean", colour: "blue", moves: { across: "mu" }, cursor: "ew-resize",
      drag: (x) => ({ mu: x }),
    });
    const flank = left.handle({
      label: "the flank of q: its width", colour: "blue", moves: { across: "log_var" }, cursor: "ew-resize",
      drag: (x) => ({ log_var: 2 * Math.log(Math.max(x - stage.values.mu, 1e-3)) }),
    });
    let shown = stage.values;
    left.hover((at) => {
      const [f, df] = FUNCTIONS[shown.function];
      const q = Math.exp(logNormal(at, shown.mu, shown.log_var));
      const score = (at - shown.mu) / Math.exp(shown.log_var);
      return (
        `z ${fixed(at, 2)}: q ${fixed(q)}, f ${fixed(f(at))}; it adds to the score function q f ∂log q/∂μ = ` +
        `${fixed(q * f(at) * score)}, to the pathwise one q f′ = ${fixed(q * df(at))} per unit of z`
      );
    });
    const strips = STRIPS.map(([, colour]) => right.dots({ colour, radius: 2.5, opacity: 0.85 }));
    const exact = right.rule({ colour: "ink" });
    const notes = STRIPS.map(() => right.text({ anchor: "end", dx: -4 }));
    stage.legend(["q(z)", "blue"], ["f(z), scaled to fit", "orange"], ["the exact gradient", "ink"]);
    return (now, values) => {
      if (functions[values.function].widest !== widest) return stage.build(); // another axis
      shown = values;
      const std = Math.exp(0.5 * values.log_var);
      shape(z, now.f);
      area(z, now.density);
      curve(z, now.density);
      peak(values.mu, PEAK / std);
      flank(values.mu + std, (PEAK / std) * Math.exp(-0.5));
      exact(now.exact);
      const above = jitter(values.seed);
      STRIPS.forEach(([name], i) => {
        strips[i](now[name], above.map((shift) => 2 - i + shift));
        notes[i](`spread ${fixed(now.spread[i], 2)}`, widest, 2 - i + 0.4);
      });
    };
  },

  buttons(stage) {
    stage.button("New noise", () => stage.set({ seed: (stage.values.seed + 1) % 1000 }));
  },

  readout: (now, { seed }) => [
    `exact gradient ${fixed(now.exact)}; mean of ${now.score.length} estimates: ` +
      STRIPS.map(([, , name], i) => `${name} ${fixed(now.mean[i])}`).join(" · "),
    `spread (standard deviation): ${STRIPS.map(([, , name], i) => `${name} ${fixed(now.spread[i])}`).join(" · ")}`,
    `${now.outside} of ${3 * now.score.length} dots lie outside the picture; the noise is that of seed ${seed}`,
  ],
};
