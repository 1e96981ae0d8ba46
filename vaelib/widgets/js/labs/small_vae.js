// The small VAE of the theory lessons in the browser; vaelib/theory/autoencoders.py holds the same formulas.

import { klStandardNormal, linspace, LOG_2PI, unpacked } from "../engine/maths.js";

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** h @ kernel + bias, in the precision of Python's own network. */
function affine(h, kernel, bias) {
  const out = Float64Array.from(bias);
  const width = out.length;
  for (let i = 0; i < h.length; i++) for (let j = 0; j < width; j++) out[j] += h[i] * kernel[i * width + j];
  return out;
}

/** The networks of a model from its packed weights: the last four are the decoder's. */
export function networks(packedWeights) {
  const weights = packedWeights.map(unpacked);
  const [w3, b3, w4, b4] = weights.slice(-4);
  const logits = (z) => affine(affine(z, w3, b3).map(Math.tanh), w4, b4);
  const decode = (z) => logits(z).map(sigmoid);
  const [w1, b1, w2, b2] = weights;
  const infer = (x) => {
    const out = affine(affine(x, w1, b1).map(Math.tanh), w2, b2);
    return [out.slice(0, out.length / 2), out.slice(out.length / 2)];
  };
  return { logits, decode, infer };
}

const logPrior = (z) => z.reduce((total, value) => total - 0.5 * (value * value + LOG_2PI), 0);

/**
 * log p(x, z) over a grid of the latent plane, for any x at little cost: log p(x|z) = Σ x ℓ(z) − Σ log(1 + exp ℓ(z)) is
 * linear in x, so the decoder runs once.
 */
export function latentGrid({ logits }, xs, ys) {
  const points = [...xs].flatMap((a) => [...ys].map((b) => [a, b]));
  const all = points.map(logits);
  const constants = Float64Array.from(points, (z, i) => logPrior(z) - all[i].reduce((total, l) => total + softplus(l), 0));
  return {
    xs, ys, points,
    logJoint: (x) => constants.map((constant, i) => {
      let total = constant;
      const row = all[i];
      for (let j = 0; j < x.length; j++) total += x[j] * row[j];
      return total;
    }),
  };
}

/** The grid of VariationalAutoencoder.log_evidence. */
export const evidenceGrid = (model) => latentGrid(model, linspace(-6, 6, 151), linspace(-6, 6, 151));

/** The ELBO of q = N(mu, exp(log_var)) and its two parts in nats, by the quadrature whose nodes and weights are given. */
export function elboOf({ logits }, x, mu, logVar, { nodes, weights }) {
  let reconstruction = 0;
  weights.forEach((weight, n) => {
    const z = mu.map((m, k) => m + Math.exp(0.5 * logVar[k]) * nodes[n * mu.length + k]);
    reconstruction += weight * logits(z).reduce((total, l, j) => total + x[j] * l - softplus(l), 0);
  });
  const kl = mu.reduce((total, m, k) => total + klStandardNormal(m, logVar[k]), 0);
  return { reconstruction, kl, elbo: reconstruction - kl };
}
