// The models of vaelib/theory/toy_models.py with one latent dimension, for one observation x.

import { LOG_2PI, linspace, logNormal, logSumExp, sum } from "../engine/maths.js";

const softplus = (t) => Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)));

/** z ~ N(0, 1), x|z ~ N(w z + b, s² I): everything in closed form. */
function linearGaussian({ w, b, sigma }, x) {
  const noise = sigma * sigma;
  const precision = 1 + sum(w.map((weight) => weight * weight)) / noise;
  const mean = sum(w.map((weight, j) => weight * (x[j] - b[j]))) / noise / precision;
  const logLikelihood = (z) => sum(w.map((weight, j) => logNormal(x[j], weight * z + b[j], Math.log(noise))));
  const logPosterior = (z) => logNormal(z, mean, -Math.log(precision));
  const logJoint = (z) => logNormal(z, 0, 0) + logLikelihood(z);
  return {
    logLikelihood, logPosterior, logJoint, mean, precision,
    logEvidence: logJoint(mean) - logPosterior(mean), // Bayes' rule, at the place where both are largest
    expectedLogLikelihood: (mu, logVar) =>
      logLikelihood(mu) - (0.5 * Math.exp(logVar) * sum(w.map((weight) => weight * weight))) / noise,
    gap: (mu, logVar) =>
      0.5 * (precision * Math.exp(logVar) + precision * (mu - mean) ** 2 - 1 - Math.log(precision) - logVar),
  };
}

/** z ~ N(0, 1), x_j|z ~ Bernoulli(sigmoid(w_j z + b_j)): by the trapezoid rule, on the nodes that Python uses. */
function bernoulliLatent({ w, b, grid }, x) {
  const logLikelihood = (z) =>
    sum(w.map((weight, j) => x[j] * (weight * z + b[j]) - softplus(weight * z + b[j])));
  const logJoint = (z) => logNormal(z, 0, 0) + logLikelihood(z);
  const nodes = linspace(...grid);
  const logEvidence = logSumExp(nodes.map(logJoint)) + Math.log(nodes[1] - nodes[0]);
  const logPosterior = (z) => logJoint(z) - logEvidence;
  const steepest = Math.max(...w.map(Math.abs));
  const expect = (f, mu, logVar) => {
    const std = Math.exp(0.5 * logVar);
    const step = Math.min(0.2, 0.4 / Math.max(steepest * std, 1e-6));
    const half = Math.min(Math.ceil(9 / step), 2000);
    const eps = linspace(-9, 9, 2 * half + 1);
    const width = eps[1] - eps[0];
    return eps.reduce((total, e) => total + Math.exp(-0.5 * (LOG_2PI + e * e)) * width * f(mu + std * e), 0);
  };
  return {
    logLikelihood, logPosterior, logJoint, logEvidence,
    expectedLogLikelihood: (mu, logVar) => expect(logLikelihood, mu, logVar),
    gap: (mu, logVar) => expect((z) => logNormal(z, mu, logVar) - logPosterior(z), mu, logVar),
  };
}

const MODELS = { linear_gaussian: linearGaussian, bernoulli: bernoulliLatent };

/** The model that Python describes as {kind, ...}, seen at one observation. */
export const toyModel = (model, x) => MODELS[model.kind](model, x);
