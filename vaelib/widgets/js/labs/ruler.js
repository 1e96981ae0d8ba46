// Lesson 18: a critic measures the distance of two densities. vaelib/widgets/ruler_lab.py and
// vaelib/theory/density_ratio.py hold the same.

import { fixed } from "../engine/elements.js";
import { linspace, logNormal, sum } from "../engine/maths.js";
import { normal, remembered } from "../engine/random.js";

// Of Newton's method, as in Python.
const [MOST_STEPS, MOST_HALVINGS, NEAR, DONE] = [100, 40, 1e-6, 1e-18];

const softplus = (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));
const mean = (values) => sum(values) / values.length;
const spread = (values, centre) => Math.sqrt(mean(values.map((each) => (each - centre) ** 2)));

/** Solve A x = b for a symmetric positive A, 3 by 3, given as [11, 12, 13, 22, 23, 33], by Cholesky. */
function solve([a, b, c, d, e, f], [x, y, z]) {
  const l11 = Math.sqrt(a);
  const [l21, l31] = [b / l11, c / l11];
  const l22 = Math.sqrt(d - l21 * l21);
  const l32 = (e - l31 * l21) / l22;
  const l33 = Math.sqrt(f - l31 * l31 - l32 * l32);
  const u = x / l11;
  const v = (y - l21 * u) / l22;
  const w = (z - l31 * u - l32 * v) / l33 / l33;
  const second = (v - l32 * w) / l22;
  return [(u - l21 * second - l31 * w) / l11, second, w];
}

/** Logistic regression on 1, z and z² that tells samples of q from those of p: its log-odds, a function of x. */
function fitCritic(fromQ, fromP, ridge) {
  const x = Float64Array.from([...fromQ, ...fromP]);
  const shift = mean(x);
  const scale = spread(x, shift);
  const z = x.map((each) => (each - shift) / scale);
  const at = ([a, b, c], each) => a + each * (b + each * c);
  const count = fromQ.length;
  const loss = (w) => {
    let total = 0.5 * ridge * (w[0] ** 2 + w[1] ** 2 + w[2] ** 2);
    for (let i = 0; i < z.length; i++) total += softplus(i < count ? -at(w, z[i]) : at(w, z[i]));
    return total;
  };
  let w = [0, 0, 0];
  for (let step = 0; step < MOST_STEPS; step++) {
    const gradient = w.map((each) => ridge * each);
    const moments = [0, 0, 0, 0, 0];
    for (let i = 0; i < z.length; i++) {
      const share = 1 / (1 + Math.exp(-at(w, z[i])));
      const miss = share - (i < count ? 1 : 0);
      gradient[0] += miss;
      gradient[1] += miss * z[i];
      gradient[2] += miss * z[i] ** 2;
      let power = share * (1 - share);
      for (let k = 0; k < 5; k++, power *= z[i]) moments[k] += power;
    }
    const [m0, m1, m2, m3, m4] = moments;
    const move = solve([m0 + ridge, m1, m2, m2 + ridge, m3, m4 + ridge], gradient);
    const decrement = sum(move.map((each, k) => each * gradient[k]));
    const after = (length) => w.map((each, k) => each - length * move[k]);
    let length = 1;
    if (decrement > NEAR) {
      const now = loss(w);
      for (let k = 0; k < MOST_HALVINGS && loss(after(length)) > now - 1e-4 * length * decrement; k++) length /= 2;
    }
    w = after(length);
    if (decrement < DONE) break;
  }
  return (each) => at(w, (each - shift) / scale);
}

export default {
  prepare: (data) => ({ ...data, x: linspace(...data.x), noise: remembered((seed) => normal(seed, 3 * data.samples[0])) }),

  numbers({ x, samples: [most, shown], ridge, noise }, { num, d, sigma, seed }) {
    const n = Number(num);
    const [forQ, fromP, forR] = [0, 1, 2].map((row) => noise(seed).slice(row * most, row * most + n));
    const fromQ = forQ.map((eps) => d + sigma * eps);
    const critic = fitCritic(fromQ, fromP, ridge);
    const centre = mean(fromQ);
    const width = spread(fromQ, centre);
    const rest = mean(fromQ.map((each) => logNormal(each, centre, 2 * Math.log(width)) - logNormal(each, 0, 0)));
    const near = fitCritic(fromQ, forR.map((eps) => centre + width * eps), ridge);
    return {
      kl: 0.5 * (sigma * sigma + d * d - 1) - Math.log(sigma),
      critic_kl: mean(fromQ.map(critic)),
      contrast_kl: mean(fromQ.map(near)) + rest,
      log_n: Math.log(n),
      q: x.map((each) => Math.exp(logNormal(each, d, 2 * Math.log(sigma)))),
      p: x.map((each) => Math.exp(logNormal(each, 0, 0))),
      log_odds: x.map(critic),
      true_log_odds: x.map((each) => logNormal(each, d, 2 * Math.log(sigma)) - logNormal(each, 0, 0)),
      from_q: fromQ.slice(0, shown),
      from_p: fromP.slice(0, shown),
    };
  },

  draw(stage, { x, tops }) {
    const wide = { x: [x[0], x.at(-1)], share: 1.6, least: 330, xLabel: "x" };
    const [above, bars] = stage.plots(
      {
        ...wide, height: 250, y: [-0.14, 0.85], yLabel: "density", title: "drag q: its peak is d, its flank σ",
        alt: "Two densities over x, and samples of each below.",
      },
      {
        height: 250, share: 1, least: 290, x: [-0.6, 2.6], xTicks: [0, 1, 2], xNames: ["true", "critic", "contrast"],
        y: [0, 10], yLabel: "KL(q ‖ p), nats", title: "three rulers", roomLeft: 8,
        alt: "The true KL, the critic's, and that with contrast.",
      },
    );
    const [below] = stage.plots({
      ...wide, height: 230, y: [-10, 10], yLabel: "log-odds for q, nats", title: "the critic's log-odds, and the true",
      alt: "A grey parabola, the true log-odds, and the critic's curve.",
    });
    const [areaQ, areaP] = [above.area({ colour: "blue" }), above.area({ colour: "green" })];
    const [curveQ, curveP] = [above.curve({ colour: "blue" }), above.curve({ colour: "green" })];
    const [dotsQ, dotsP] = [above.dots({ colour: "blue", radius: 2 }), above.dots({ colour: "green", radius: 2 })];
    const parabola = below.curve({ colour: "grey", width: 3 });
    const learned = below.curve({ colour: "orange" });
    const zero = below.rule({ colour: "ink", axis: "y", width: 1 });
    const heights = ["grey", "orange", "purple"].map((colour) => bars.bar({ colour }));
    const wall = bars.rule({ colour: "ink", axis: "y", dash: "6 4" });
    const peak = above.handle({
      label: "the peak of q: its mean", colour: "blue", moves: { across: "d" }, cursor: "ew-resize",
      drag: (at) => ({ d: at }),
    });
    const flank = above.handle({
      label: "the flank of q: its width", colour: "blue", moves: { across: "sigma" }, cursor: "ew-resize",
      drag: (at) => ({ sigma: at - stage.values.d }),
    });
    stage.legend(
      ["q", "blue"], ["p", "green"], ["true", "grey"], ["the critic’s", "orange"], ["with contrast", "purple", "area"],
      ["log n", "ink", "dashed"],
    );
    return (now, { d, sigma }) => {
      const topOf = (value) => tops.find((top) => top >= value) ?? tops.at(-1);
      areaQ(x, now.q);
      areaP(x, now.p);
      curveQ(x, now.q);
      curveP(x, now.p);
      dotsQ(now.from_q, now.from_q.map(() => -0.05));
      dotsP(now.from_p, now.from_p.map(() => -0.1));
      const height = 1 / Math.sqrt(2 * Math.PI) / sigma;
      peak(d, height);
      flank(d + sigma, height * Math.exp(-0.5));
      const reach = topOf(2 * now.kl);
      below.rangeY(-reach, reach);
      zero(0);
      parabola(x, now.true_log_odds);
      learned(x, now.log_odds);
      const three = [now.kl, now.critic_kl, now.contrast_kl];
      bars.rangeY(Math.min(0, ...three), topOf(Math.max(...three, now.log_n)));
      three.forEach((value, k) => heights[k](k - 0.3, k + 0.3, 0, value));
      wall(now.log_n);
    };
  },

  buttons(stage) {
    stage.button("New samples", () => stage.set({ seed: (stage.values.seed + 1) % 100 }));
  },

  readout: (now, { num }) => [
    `KL(q ‖ p) = ${fixed(now.kl, 2)} nats`,
    `a critic with ${num} samples of each says ${fixed(now.critic_kl, 2)}; log ${num} = ${fixed(now.log_n, 2)}`,
    `with adaptive contrast ${fixed(now.contrast_kl, 2)}`,
  ],
};
