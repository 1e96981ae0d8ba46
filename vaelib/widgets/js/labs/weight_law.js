// WeightLaw of vaelib/theory/importance.py in the browser: the law of log w under q on nodes, and what it says for k
// draws.

import { linspace, logSumExp } from "../engine/maths.js";

const BEYOND = 4;
const NEGLIGIBLE = -55; // log-probability of nodes that may be forgotten where w is smallest
const LOST = -60; // log of what adds nothing to a sum of numbers around 1

/** One over places of log s: sums of positive terms; what is below exp(LOST) is left out. */
export function weightLaw(logW, logProb, { lowest, step }) {
  const logTotal = logSumExp(logProb);
  const prob = logProb.map((each) => each - logTotal);
  const logMean = logSumExp(prob.map((each, i) => each + logW[i]));
  const scaled = logW.map((each) => each - logMean);
  const least = scaled.reduce((low, each, i) => (prob[i] > NEGLIGIBLE ? Math.min(low, each) : low), 0);
  const u = linspace(lowest, BEYOND - least, Math.ceil((BEYOND - least - lowest) / step) + 1);
  const du = u[1] - u[0];
  const mass = prob.map((each) => Math.exp(each));

  /** log φ(s) with φ(s) = E exp(−s w). */
  const logPhi = u.map((at) => {
    let belowOne = 0;
    for (let i = 0; i < scaled.length; i++) {
      const a = at + scaled[i];
      if (a > 4) belowOne += mass[i]; // 1 − exp(−e⁴) is 1 to the last digit
      else if (a < -38) belowOne += Math.exp(prob[i] + a);
      else belowOne += Math.exp(prob[i] + Math.log(-Math.expm1(-Math.exp(a))));
    }
    return Math.log1p(-Math.min(belowOne, 1));
  });
  const toPower = (power) => (power ? logPhi.map((each) => power * each) : logPhi.map(() => 0));

  return {
    logMean,

    bound(k) {
      let total = 0;
      toPower(k).forEach((each, j) => (total += Math.expm1(-k * Math.exp(u[j])) - Math.expm1(each)));
      return logMean + total * du;
    },

    effectiveSize(k) {
      let total = 0;
      toPower(k - 1).forEach((rest, j) => {
        if (rest < LOST) return;
        let inner = 0;
        for (let i = 0; i < scaled.length; i++) {
          const a = u[j] + scaled[i];
          if (a < 7) inner += Math.exp(prob[i] + 2 * a - Math.exp(a)); // above, exp(−e⁷) is 0
        }
        total += Math.exp(rest) * inner;
      });
      return 1 / (k * du * total);
    },

    /** By how much resampling from k draws raises q at places of these log-weights: a factor. */
    impliedRatio(k) {
      const places = [];
      toPower(k - 1).forEach((rest, j) => rest > LOST && places.push([u[j], Math.exp(rest)]));
      return (given) => {
        let total = 0;
        for (const [at, rest] of places) {
          const a = at + given - logMean;
          if (a < 7) total += Math.exp(a - Math.exp(a)) * rest;
        }
        return k * du * total;
      };
    },
  };
}
