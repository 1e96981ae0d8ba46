// vaelib/theory/divergences.py in the browser: a mixture p, a Gaussian q = N(mu, sigma²), the two divergences on the
// nodes that Python uses, and the way down each of them.

import { linspace, logNormal, logSumExp } from "../engine/maths.js";

const REACH = 10; // integrals reach this many standard deviations
const FINENESS = 24; // nodes per smallest width

const evenGrid = (low, high, step) => linspace(low, high, Math.ceil((high - low) / step) + 1);

/** A mixture of Gaussians: log p, its slope and curvature, its two moments. */
export function mixture(weights, means, stds) {
  const parts = weights.map((weight, k) => ({
    logWeight: Math.log(weight), mean: means[k], logVar: 2 * Math.log(stds[k]), var: stds[k] ** 2,
  }));
  const terms = (x) => parts.map(({ logWeight, mean, logVar }) => logWeight + logNormal(x, mean, logVar));
  const total = (f) => parts.reduce((sum, part, k) => sum + f(part, k), 0);
  const mean = total((part, k) => weights[k] * part.mean);
  return {
    mean,
    var: total((part, k) => weights[k] * (part.var + (part.mean - mean) ** 2)),
    scale: Math.min(...stds),
    support: [
      Math.min(...means.map((m, k) => m - REACH * stds[k])),
      Math.max(...means.map((m, k) => m + REACH * stds[k])),
    ],
    logProb: (x) => logSumExp(terms(x)),
    /** The first and the second derivative of log p. */
    slopes(x) {
      const logs = terms(x);
      const logProb = logSumExp(logs);
      let [first, second] = [0, 0];
      parts.forEach((part, k) => {
        const share = Math.exp(logs[k] - logProb);
        const pull = (part.mean - x) / part.var;
        first += share * pull;
        second += share * (pull * pull - 1 / part.var);
      });
      return [first, second - first * first];
    },
  };
}

/** p log(p/q) and q log(q/p) at x, in nats per unit of x: their integrals are the two divergences. */
export function integrands(target, mu, sigma, x) {
  const logP = target.logProb(x);
  const logQ = logNormal(x, mu, 2 * Math.log(sigma));
  return { logP, logQ, forward: Math.exp(logP) * (logP - logQ), reverse: Math.exp(logQ) * (logQ - logP) };
}

/** KL(p ‖ q) by the trapezoid rule on nodes that cover p. */
export function forwardKl(target, mu, sigma) {
  const nodes = evenGrid(...target.support, target.scale / FINENESS);
  const last = nodes.length - 1;
  return nodes.reduce((total, x, i) => {
    const width = 0.5 * (nodes[Math.min(i + 1, last)] - nodes[Math.max(i - 1, 0)]);
    return total + width * integrands(target, mu, sigma, x).forward;
  }, 0);
}

/** Nodes eps ~ N(0, 1) and their weights: fine enough for q and, once scaled by sigma, for the target. */
function expectationNodes(target, sigma) {
  const eps = evenGrid(-REACH, REACH, Math.max(Math.min(1, target.scale / sigma) / FINENESS, 1e-4));
  const width = eps[1] - eps[0];
  return [eps, eps.map((e) => width * Math.exp(logNormal(e, 0, 0)))];
}

/** KL(q ‖ p), the mean of log q/p over q. */
export function reverseKl(target, mu, sigma) {
  const [eps, weights] = expectationNodes(target, sigma);
  const logVar = 2 * Math.log(sigma);
  const logRatio = (e) => logNormal(sigma * e, 0, logVar) - target.logProb(mu + sigma * e);
  return eps.reduce((total, e, i) => total + weights[i] * logRatio(e), 0);
}

// ---- The way down. A place is (mu, log sigma); slopes gives gradient and Hessian there as [g1, g2, h11, h12, h22].

/** Slopes of KL(p ‖ q): of its formula, which needs two moments of p and nothing else. */
function forwardSlopes(target, mu, sigma) {
  const precision = sigma ** -2;
  const shift = mu - target.mean;
  const spread = target.var + shift * shift;
  return [shift * precision, 1 - spread * precision, precision, -2 * shift * precision, 2 * spread * precision];
}

/** Slopes of KL(q ‖ p): means over q of the slope and the curvature of log p. */
function reverseSlopes(target, mu, sigma) {
  const [eps, weights] = expectationNodes(target, sigma);
  const sums = [0, -1, 0, 0, 0];
  eps.forEach((e, i) => {
    const [slope, curvature] = target.slopes(mu + sigma * e);
    const reach = sigma * e; // how far x moves per unit of log sigma
    sums[0] -= weights[i] * slope;
    sums[1] -= weights[i] * slope * reach;
    sums[2] -= weights[i] * curvature;
    sums[3] -= weights[i] * curvature * reach;
    sums[4] -= weights[i] * (curvature * reach * reach + slope * reach);
  });
  return sums;
}

const STRIDE = 0.02; // the longest step along the way
const FLAT = 1e-7; // nats per unit: a slope that is less steep is the bottom
const LONGEST = 5000; // steps

/**
 * The gradient flow d(mu, log sigma)/dt = −gradient of a divergence, from q to the bottom of its valley.
 *
 * Steps of the implicit Euler rule with the slope taken as linear: as steps grow near the bottom they become Newton's.
 *
 * @param divergence  "forward" or "reverse"
 * @returns places [mu, sigma], the first where q stands, the last at the bottom
 */
export function descent(divergence, target, mu, sigma) {
  const slopes = divergence === "forward" ? forwardSlopes : reverseSlopes;
  const places = [[mu, sigma]];
  let [at, logSigma, time] = [mu, Math.log(sigma), 1];
  for (let n = 0; n < LONGEST; n++) {
    const [g1, g2, h11, h12, h22] = slopes(target, at, Math.exp(logSigma));
    if (Math.hypot(g1, g2) < FLAT) break;
    for (;;) {
      const [a, b, c] = [1 + time * h11, time * h12, 1 + time * h22]; // (1 + time · Hessian) move = −time · gradient
      const det = a * c - b * b;
      const move = [(-time * (c * g1 - b * g2)) / det, (-time * (a * g2 - b * g1)) / det];
      if (a > 0 && det > 0 && Math.hypot(...move) <= STRIDE) {
        at += move[0];
        logSigma += move[1];
        break;
      }
      time /= 2;
    }
    time *= 2;
    places.push([at, Math.exp(logSigma)]);
  }
  return places;
}
