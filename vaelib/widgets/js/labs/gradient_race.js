// Lesson 05: score function and pathwise descend side by side. vaelib/widgets/gradient_race.py holds the same.

import { fixed } from "../engine/elements.js";
import { linspace, logNormal, sum } from "../engine/maths.js";
import { normal, remembered } from "../engine/random.js";

const STEPS_A_SECOND = 40;
const BOWL = 8; // f is drawn up to here, scaled to height 1
const PEAK = 1 / Math.sqrt(2 * Math.PI); // of a standard normal

const round = (x) => fixed(x, x < 100 ? 1 : 0);
const range = (count) => Float64Array.from({ length: count }, (_, i) => i);

/** The means of q on the way, for f(z) = Σ_j (z_j − c)²: distances to the optimum, and the first mean. */
function race({ place, mu, sigma, step_size: stepSize, dimension, baseline, steps }, noise, most, lost) {
  const score = new Float64Array(dimension).fill(mu);
  const pathwise = new Float64Array(dimension).fill(mu);
  let expected = mu;
  const distance = (means) => Math.sqrt(sum(means.map((mean) => (mean - place) ** 2)) / dimension);
  const record = ["score", "pathwise", "expected", "score_mu", "pathwise_mu"];
  const shown = Object.fromEntries(record.map((name) => [name, new Float64Array(steps + 1)]));
  const keep = (t) => {
    const now = [distance(score), distance(pathwise), Math.abs(expected - place), score[0], pathwise[0]];
    record.forEach((name, i) => (shown[name][t] = now[i]));
  };
  keep(0);
  for (let t = 0; t < steps; t++) {
    const eps = noise.subarray(t * most, t * most + dimension);
    let value = 0;
    for (let j = 0; j < dimension; j++) value += (score[j] + sigma * eps[j] - place) ** 2;
    if (baseline) value -= sum(score.map((mean) => (mean - place) ** 2)) + dimension * sigma * sigma;
    for (let j = 0; j < dimension; j++) {
      score[j] -= (stepSize * value * eps[j]) / sigma;
      pathwise[j] -= stepSize * 2 * (pathwise[j] + sigma * eps[j] - place);
    }
    expected -= stepSize * 2 * (expected - place);
    if (!(distance(score) <= lost)) score.fill(NaN);
    keep(t + 1);
  }
  return shown;
}

/** (12) of the lesson: the variances of one estimate of ∂E[f]/∂μ₁. */
function variances(offset, sigma, d) {
  const [a, b] = [offset * offset, sigma * sigma];
  const withBaseline = 8 * a + 10 * b + (d - 1) * (4 * a + 2 * b);
  return [withBaseline + (d * d * (a + b) ** 2) / b + 4 * d * (a + b), withBaseline, 4 * b];
}

export default {
  prepare: (data) => ({
    ...data, z: linspace(...data.z), at: range(data.num_steps + 1),
    noise: remembered((seed) => normal(seed, data.num_steps * data.most)),
  }),

  numbers({ noise, most, lost }, values) {
    const shown = race(values, noise(values.seed), most, lost);
    const [plain, better, pathwise] = variances(values.mu - values.place, values.sigma, values.dimension);
    return {
      ...shown,
      lost: Math.max(0, shown.score.findIndex(Number.isNaN)), // 0: never
      score_variance: values.baseline ? better : plain,
      pathwise_variance: pathwise,
    };
  },

  draw(stage, { z, at, num_steps: most, lost: farthest }) {
    const [left, right] = stage.plots(
      {
        share: 1, least: 300, height: 320, x: [z[0], z.at(-1)], y: [-0.12, 1.4], yTicks: 0,
        xLabel: "z₁, the first dimension",
        alt: "f and q over the first dimension: q at the start, and where each estimator has taken it.",
        title: "drag f, and q's peak and flank",
      },
      {
        share: 1.3, least: 330, height: 320, x: [0, most], y: [0.01, farthest], yScale: "log", xLabel: "step",
        yLabel: "distance, root mean square", alt: "The distance to the optimum against the steps.",
        title: "how far from the optimum",
      },
    );
    const bowl = left.curve({ colour: "orange" });
    const area = left.area({ colour: "blue", opacity: 0.15 });
    const start = left.curve({ colour: "blue", width: 1.5, dash: "3 4" });
    const runners = [["score", "purple"], ["pathwise", "sky"]].map(([name, colour]) => ({
      name, q: left.curve({ colour }), curve: right.curve({ colour }),
      head: right.dots({ colour, radius: 5, opacity: 1 }),
    }));
    const expected = right.curve({ colour: "ink", dash: "6 4", width: 1.5 });
    const note = right.text({ anchor: "end", dx: -4, dy: 14 });
    const peak = left.handle({
      label: "the peak of q at the start: its mean", colour: "blue", moves: { across: "mu" }, cursor: "ew-resize",
      drag: (x) => ({ mu: x }),
    });
    const flank = left.handle({
      label: "the flank of q: its width", colour: "blue", moves: { across: "sigma" }, cursor: "ew-resize",
      drag: (x) => ({ sigma: x - stage.values.mu }),
    });
    const place = left.handle({
      label: "the minimum of f", colour: "orange", moves: { across: "place" }, cursor: "ew-resize",
      drag: (x) => ({ place: x }),
    });
    let [shown, set] = [null, stage.values];
    left.hover((x) => {
      const score = (x - set.mu) / set.sigma ** 2;
      return (
        `z₁ ${fixed(x, 2)}: this dimension adds ${fixed((x - set.place) ** 2, 2)} to f. A first draw here is worth ` +
        `f′ = ${fixed(2 * (x - set.place), 2)} to the pathwise estimator, and all of f times ` +
        `${fixed(score, 2)} to the score function`
      );
    });
    right.hover((x) => {
      const t = Math.min(Math.round(x), set.steps);
      const [score, pathwise, exact] = ["score", "pathwise", "expected"].map((name) => shown[name][t]);
      const there = Number.isNaN(score) ? "lost" : fixed(score);
      return `step ${t}: score function ${there}, pathwise ${fixed(pathwise)}, exact gradient ${fixed(exact)}`;
    });
    stage.legend(
      ["f, scaled", "orange"], ["q at the start", "blue", "dashed"], ["by the score function", "purple"],
      ["pathwise", "sky"], ["by the exact gradient", "ink", "dashed"],
    );
    return (now, values) => {
      [shown, set] = [now, values];
      const density = (mu) => z.map((x) => Math.exp(logNormal(x, mu, 2 * Math.log(values.sigma))));
      bowl(z, z.map((x) => ((x - values.place) ** 2 <= BOWL ? (x - values.place) ** 2 / BOWL : NaN)));
      const q = density(values.mu);
      area(z, q);
      start(z, q);
      for (const { name, q, curve, head } of runners) {
        q(z, density(now[`${name}_mu`][values.steps]));
        curve(at, now[name]);
        const end = now[name][values.steps];
        head(Number.isNaN(end) ? [] : [values.steps], [end]);
      }
      expected(at, now.expected);
      note(now.lost ? `score function: lost at step ${now.lost}` : "", most, farthest);
      peak(values.mu, PEAK / values.sigma);
      flank(values.mu + values.sigma, (PEAK / values.sigma) * Math.exp(-0.5));
      place(values.place, 0);
    };
  },

  buttons(stage, { num_steps: most }) {
    let due = 0;
    stage.playButton("Run", (seconds) => {
      const { steps } = stage.values;
      if (seconds === 0 && steps >= most) return stage.set({ steps: 0 }); // from the start again
      due += STEPS_A_SECOND * seconds;
      const whole = Math.floor(due);
      due -= whole;
      if (whole) stage.set({ steps: steps + whole });
      return steps + whole < most;
    });
    stage.button("Step", () => stage.set({ steps: stage.values.steps + 1 }));
    stage.button("To the start", () => stage.set({ steps: 0 }));
    stage.button("New noise", () => stage.set({ seed: (stage.values.seed + 1) % 1000 }));
  },

  readout(now, { steps, dimension, seed }) {
    const score = now.lost ? `lost at step ${now.lost}` : fixed(now.score[steps]);
    const ratio = now.score_variance / now.pathwise_variance;
    return [
      `after ${steps} steps in ${dimension} dimension${dimension === 1 ? "" : "s"}, distance to the optimum: ` +
        `score function ${score} · pathwise ${fixed(now.pathwise[steps])} · ` +
        `exact gradient ${fixed(now.expected[steps])}`,
      `variance of one estimate of ∂E[f]/∂μ₁ at the start: score function ${round(now.score_variance)} · ` +
        `pathwise ${round(now.pathwise_variance)}, a factor of ${round(ratio)}; the noise is that of seed ${seed}`,
    ];
  },
};
