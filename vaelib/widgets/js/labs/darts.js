// Lesson 14: k darts of q at the true posterior; the bound climbs to log p(x). vaelib/widgets/darts_lab.py holds the
// same.

import { count } from "../engine/controls.js";
import { fixed } from "../engine/elements.js";
import { linspace, logNormal } from "../engine/maths.js";
import { mixture } from "./divergences.js";
import { weightLaw } from "./weight_law.js";

const FLOORS = [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100]; // ends of the curve's axis, nats below log p(x)
const MOST = 1000;

/** The law of w for these values; kept while only k moves. */
function lawOf(ready, { posterior, mu, sigma }) {
  const name = [posterior, mu, sigma].join();
  if (ready.kept?.name !== name) {
    const [weights, means, tau] = ready.posteriors[posterior];
    const [count, reach] = ready.nodes;
    const target = mixture(weights, means, means.map(() => tau));
    const low = Math.min(mu - reach * sigma, Math.min(...means) - reach * tau);
    const z = linspace(low, Math.max(mu + reach * sigma, Math.max(...means) + reach * tau), count);
    const logQ = (at) => logNormal(at, mu, 2 * Math.log(sigma));
    const cell = Math.log(z[1] - z[0]);
    const [lowest, step] = ready.places;
    const logW = z.map((at) => target.logProb(at) - logQ(at));
    const law = weightLaw(logW, z.map((at) => logQ(at) + cell), { lowest, step });
    ready.kept = { name, law, target, logQ, tau, curve: ready.ks.map((k) => law.bound(k)) };
  }
  return ready.kept;
}

export default {
  prepare: (data) => ({ ...data, x: linspace(...data.x) }),

  numbers(ready, values) {
    const { law, target, logQ, tau, curve } = lawOf(ready, values);
    const { x } = ready;
    const k = count(values.log_k);
    const ratio = law.impliedRatio(k);
    const p = x.map((at) => Math.exp(target.logProb(at)));
    const q = x.map((at) => Math.exp(logQ(at)));
    const implied = x.map((at, i) => q[i] * ratio(target.logProb(at) - logQ(at)));
    const missed = implied.reduce((total, each, i) => total + Math.abs(each - p[i]), 0);
    return {
      k,
      elbo: law.bound(1),
      bound: law.bound(k),
      effective_size: law.effectiveSize(k),
      missed: 0.5 * missed * (x[1] - x[0]),
      infinite_variance: values.sigma ** 2 <= 0.5 * tau ** 2 ? 1 : 0,
      p, q, implied, curve,
    };
  },

  draw(stage, { x, ks }) {
    const density = { x: [x[0], x.at(-1)], y: [0, 0.9], xLabel: "z", yLabel: "density", share: 1.4, least: 330 };
    const aside = { share: 1, least: 290 };
    const [left, right] = stage.plots(
      { ...density, height: 270, alt: "The true posterior and q over z.", title: "drag q: its peak is μ, its flank σ" },
      {
        ...aside, height: 270, x: [0.85, MOST], xScale: "log", y: [-1, 0.06], xLabel: "k", roomLeft: 8,
        yLabel: "Lₖ − log p(x), nats",
        alt: "The bound for each k, climbing to log p(x).", title: "the bound: drag k along the curve",
      },
    );
    const [below, bars] = stage.plots(
      {
        ...density, height: 240, alt: "The distribution of one dart kept of k, between q and the posterior.",
        title: "one dart kept, in proportion to its weight",
      },
      {
        ...aside, height: 240, x: [-0.6, 1.6], xTicks: [0, 1], xNames: ["darts thrown", "worth"],
        y: [0.8, 1200], yScale: "log",
        alt: "How many darts were thrown, and how many equal ones they are worth.", title: "effective sample size",
      },
    );
    const truth = [left, below].map((plot) => plot.curve({ colour: "green" }));
    const area = left.area({ colour: "blue" });
    const curve = left.curve({ colour: "blue" });
    const faint = below.curve({ colour: "blue", dash: "6 4" });
    const resampled = below.area({ colour: "purple", opacity: 0.4 });
    const flag = left.text({ colour: "vermillion", anchor: "end", bold: true });
    const climb = right.curve({ colour: "blue" });
    const top = right.rule({ colour: "ink", axis: "y" });
    const first = right.dots({ colour: "orange", radius: 6, opacity: 1 });
    const [thrown, worth] = [bars.bar({ colour: "grey" }), bars.bar({ colour: "purple" })];
    const peak = left.handle({
      label: "the peak of q: its mean", colour: "blue", moves: { across: "mu" }, cursor: "ew-resize",
      drag: (at) => ({ mu: at }),
    });
    const flank = left.handle({
      label: "the flank of q: its width", colour: "blue", moves: { across: "sigma" }, cursor: "ew-resize",
      drag: (at) => ({ sigma: at - stage.values.mu }),
    });
    const number = right.handle({
      label: "k, on the curve of the bound", colour: "blue", moves: { across: "log_k" }, cursor: "ew-resize",
      drag: (at) => ({ log_k: Math.log10(Math.max(at, 1)) }),
    });
    stage.legend(
      ["posterior p(z|x)", "green"], ["q(z|x)", "blue"], ["resampled from k darts", "purple", "area"],
      ["L₁, the ELBO", "orange", "dot"], ["log p(x)", "ink"],
    );
    return (now, { mu, sigma }) => {
      for (const each of truth) each(x, now.p);
      area(x, now.q);
      curve(x, now.q);
      faint(x, now.q);
      resampled(x, now.implied);
      const height = 1 / Math.sqrt(2 * Math.PI) / sigma;
      peak(mu, height);
      flank(mu + sigma, height * Math.exp(-0.5));
      flag(now.infinite_variance ? "infinite variance" : "", x.at(-1) - 0.1, 0.83);
      const floor = FLOORS.find((each) => each >= -1.05 * now.elbo) ?? FLOORS.at(-1);
      right.rangeY(-floor, 0.06 * floor);
      top(0);
      climb(ks, now.curve);
      first([1], [now.elbo]);
      number(now.k, now.bound);
      thrown(-0.3, 0.3, 0.8, now.k);
      worth(0.7, 1.3, 0.8, now.effective_size);
    };
  },

  readout: (now) => [
    `k = ${now.k}: Lₖ lies ${fixed(Math.abs(now.bound))} nats below log p(x); ` +
      `the ELBO, k = 1, lies ${fixed(-now.elbo)} below`,
    `${now.k} darts are worth ${fixed(now.effective_size, 1)}; ` +
      `the resampled dart misses ${fixed(100 * now.missed, 1)} % of the posterior`,
    now.infinite_variance
      ? "q is too narrow, σ² ≤ τ²/2 for peaks of width τ: the weights have infinite variance"
      : "the weights have a finite variance",
  ],
};
