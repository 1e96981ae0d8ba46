// The best normals for a density on a grid, one for each direction of the KL: the same as vaelib/theory/plane.py.

const NUM_STEPS = 100;
const RATE = 0.3;
const WIDEST = 25;

const total = (values) => values.reduce((all, value) => all + value, 0);
const dot = (a, b) => a.reduce((all, value, i) => all + value * b[i], 0);

/** Sums over the rows and over the columns of f[i * m + j] with the weights of the other axis. */
function along(f, n, m, rowWeights, columnWeights) {
  const [rows, columns] = [new Float64Array(n), new Float64Array(m)];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      rows[i] += f[i * m + j] * columnWeights[j];
      columns[j] += f[i * m + j] * rowWeights[i];
    }
  }
  return [rows, columns];
}

/** Means and variances of the density: the normal with the least KL(p ‖ q). */
export function forwardFit(xs, ys, logP) {
  const top = logP.reduce((a, b) => Math.max(a, b), -Infinity);
  const p = logP.map((value) => Math.exp(value - top));
  const all = total(p);
  const ones = (axis) => new Float64Array(axis.length).fill(1 / all);
  const shares = along(p, xs.length, ys.length, ones(xs), ones(ys));
  const mean = [xs, ys].map((axis, k) => dot(axis, shares[k]));
  const variance = [xs, ys].map((axis, k) => dot(axis.map((value) => (value - mean[k]) ** 2), shares[k]));
  return [mean, variance];
}

/** The diagonal normal with the least KL(q ‖ p), from a start. */
export function reverseFit(xs, ys, logP, startMean, start) {
  const mean = [...startMean];
  const variance = [...start];
  for (let step = 0; step < NUM_STEPS; step++) {
    const shares = [xs, ys].map((axis, k) => {
      const weights = axis.map((value) => Math.exp((-0.5 * (value - mean[k]) ** 2) / variance[k]));
      const all = total(weights);
      return weights.map((value) => value / all);
    });
    const fs = along(logP, xs.length, ys.length, ...shares);
    const level = dot(shares[0], fs[0]);
    [xs, ys].forEach((axis, k) => {
      const distance = axis.map((value) => value - mean[k]);
      const f = fs[k].map((value) => value - level);
      const slope = total(f.map((value, i) => shares[k][i] * value * distance[i])) / variance[k];
      const curvature = total(f.map((value, i) => shares[k][i] * value * (distance[i] ** 2 - variance[k]))) / variance[k] ** 2;
      const precision = (1 - RATE) / variance[k] + RATE * Math.max(-curvature, 1 / (WIDEST * start[k]));
      mean[k] += (RATE * slope) / precision;
      variance[k] = 1 / precision;
    });
  }
  return [mean, variance];
}
