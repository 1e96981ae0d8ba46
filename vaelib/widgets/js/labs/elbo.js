// Lesson 02: move q, and watch log p(x) split into the ELBO and the gap. vaelib/widgets/elbo_lab.py holds the same.

import { fixed } from "../engine/elements.js";
import { klStandardNormal, linspace, logNormal } from "../engine/maths.js";
import { toyModel } from "./toy_models.js";

const ZOOM = 0.5; // nats below log p(x) that the second picture magnifies

export default {
  prepare(data) {
    const model = toyModel(data.model, data.x);
    const z = linspace(data.z[0], data.z[1], data.z[2]);
    const of = (logDensity) => z.map((at) => Math.exp(logDensity(at)));
    const likelihood = z.map((at) => model.logLikelihood(at));
    const best = likelihood.reduce((a, b) => Math.max(a, b), -Infinity);
    const prior = of((at) => logNormal(at, 0, 0));
    const posterior = of((at) => model.logPosterior(at));
    const height = Math.max(...posterior);
    return { ...data, model, z, prior, posterior, height, likelihood: likelihood.map((value) => height * Math.exp(value - best)) };
  },

  numbers({ model, z }, { mu, sigma }) {
    const logVar = 2 * Math.log(sigma);
    const reconstruction = model.expectedLogLikelihood(mu, logVar);
    const kl = klStandardNormal(mu, logVar);
    return {
      log_evidence: model.logEvidence,
      elbo: reconstruction - kl,
      gap: model.gap(mu, logVar),
      reconstruction,
      kl,
      density: z.map((at) => Math.exp(logNormal(at, mu, logVar))),
    };
  },

  draw(stage, { model, z, prior, likelihood, posterior, height, floor, top }) {
    const [left, right, zoom] = stage.plots(
      {
        share: 2.1, least: 330, height: 300, x: [z[0], z.at(-1)], y: [0, 1.6 * height], xLabel: "z", yLabel: "density",
        alt: "Prior, scaled likelihood, posterior and q over z.", title: "drag q: its peak is μ, its flank σ",
      },
      {
        share: 1.1, least: 190, height: 300, x: [-0.5, 1.5], y: [floor, top], yLabel: "nats", xTicks: [0, 1],
        xNames: ["log p(x)", "reconstruction"], alt: "The ELBO with the gap on top, and with the KL to the prior on top.",
        title: "two sums with one ELBO",
      },
      {
        share: 0.75, least: 140, height: 300, x: [-0.5, 0.5], y: [model.logEvidence - ZOOM, model.logEvidence + 0.12 * ZOOM],
        xTicks: [0], xNames: ["log p(x)"], alt: "The uppermost half nat of log p(x), magnified.", title: "its last half nat",
      },
    );
    left.curve({ colour: "grey" })(z, prior);
    left.curve({ colour: "orange", dash: "6 4" })(z, likelihood);
    left.curve({ colour: "green" })(z, posterior);
    const area = left.area({ colour: "blue" });
    const curve = left.curve({ colour: "blue" });
    const peak = left.handle({
      label: "the peak of q: its mean", colour: "blue", moves: { across: "mu" }, cursor: "ew-resize", drag: (x) => ({ mu: x }),
    });
    const flank = left.handle({
      label: "the flank of q: its width", colour: "blue", moves: { across: "sigma" }, cursor: "ew-resize",
      drag: (x) => ({ sigma: x - stage.values.mu }),
    });
    let q = stage.values;
    left.hover((at) => {
      const logVar = 2 * Math.log(q.sigma);
      const logQ = logNormal(at, q.mu, logVar);
      const [joint, ratio] = [model.logJoint(at) - logQ, logQ - model.logPosterior(at)];
      return (
        `z ${fixed(at, 2)}: q(z) ${fixed(Math.exp(logQ))}; to the ELBO it adds q log p(x,z)/q = ` +
        `${fixed(Math.exp(logQ) * joint)}, to the gap q log q/p(z|x) = ${fixed(Math.exp(logQ) * ratio)} nats per unit of z`
      );
    });
    const bars = [
      [right.bar({ colour: "sky" }), right.bar({ colour: "vermillion" }), -0.32, 0.32],
      [right.bar({ colour: "sky" }), right.bar({ colour: "grey" }), 0.68, 1.32],
      [zoom.bar({ colour: "sky" }), zoom.bar({ colour: "vermillion" }), -0.32, 0.32],
    ];
    for (const plot of [right, zoom]) plot.rule({ colour: "ink", axis: "y" })(model.logEvidence);
    stage.legend(
      ["prior p(z)", "grey"], ["likelihood p(x|z), scaled", "orange", "dashed"], ["posterior p(z|x)", "green"],
      ["q(z|x)", "blue"], ["ELBO", "sky", "area"], ["gap = KL(q‖p(z|x))", "vermillion", "area"], ["KL(q‖p(z))", "grey", "area"],
    );
    return (now, values) => {
      q = values;
      area(z, now.density);
      curve(z, now.density);
      const top = 1 / Math.sqrt(2 * Math.PI) / values.sigma;
      peak(values.mu, top);
      flank(values.mu + values.sigma, top * Math.exp(-0.5));
      bars.forEach(([below, above, x0, x1], i) => {
        below(x0, x1, floor, now.elbo);
        above(x0, x1, now.elbo, now.elbo + (i === 1 ? now.kl : now.gap));
      });
    };
  },

  readout: (now) => [
    `log p(x) ${fixed(now.log_evidence)} = ELBO ${fixed(now.elbo)} + gap ${fixed(now.gap)} nats`,
    `ELBO ${fixed(now.elbo)} = reconstruction ${fixed(now.reconstruction)} − KL(q‖p(z)) ${fixed(now.kl)} nats`,
  ],
};
