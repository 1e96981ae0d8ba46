// Lesson 11: the posterior of two weights, exact and as Gaussians, one of them the reader's own.
// vaelib/widgets/regression_lab.py and vaelib/theory/regression.py hold the same.
//
// Inside, weights are counted in prior standard deviations; a symmetric matrix is its three numbers [11, 12, 22].

import { fixed } from "../engine/elements.js";
import { LOG_2PI, linspace, sum, unpacked } from "../engine/maths.js";

const NODES = linspace(-9, 9, 91); // of N(0, 1), as in Python
const WEIGHTS = NODES.map((e) => Math.exp(-0.5 * (LOG_2PI + e * e)) * (NODES[1] - NODES[0]));
const TURN = linspace(0, 2 * Math.PI, 121);
const GAUSSIANS = ["laplace", "diagonal", "full", "own"];

const softplus = (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));
const det = ([a, b, c]) => a * c - b * b;
const inverse = ([a, b, c]) => [c, -b, a].map((x) => x / det([a, b, c]));
const times = ([a, b, c], [x, y]) => [a * x + b * y, b * x + c * y];
const form = ([a, b, c], x, y) => a * x * x + 2 * b * x * y + c * y * y;

/** A logistic regression on the first cases, its features in units of the prior. */
function regression({ features, labels }, count, scale) {
  const row = (n) => [scale * features[2 * n], scale * features[2 * n + 1], labels[n]];
  const rows = Array.from({ length: count }, (_, n) => row(n));

  function logJoint(w1, w2) {
    const logLikelihood = sum(rows.map(([x1, x2, y]) => y * (x1 * w1 + x2 * w2) - softplus(x1 * w1 + x2 * w2)));
    return logLikelihood - LOG_2PI - 0.5 * (w1 * w1 + w2 * w2);
  }

  /** Slope and curvature of log p(y, w), averaged over q; without a covariance, at one point. */
  function averaged(mean, cov) {
    const slope = [-mean[0], -mean[1]];
    const curvature = [1, 0, 1];
    for (const [x1, x2, y] of rows) {
      const middle = x1 * mean[0] + x2 * mean[1];
      const std = cov ? Math.sqrt(form(cov, x1, x2)) : 0;
      let [p, pq] = [0, 0];
      if (cov) {
        for (let k = 0; k < NODES.length; k++) {
          const s = 1 / (1 + Math.exp(-middle - std * NODES[k]));
          p += WEIGHTS[k] * s;
          pq += WEIGHTS[k] * s * (1 - s);
        }
      } else {
        p = 1 / (1 + Math.exp(-middle));
        pq = p * (1 - p);
      }
      slope[0] += (y - p) * x1;
      slope[1] += (y - p) * x2;
      curvature[0] += pq * x1 * x1;
      curvature[1] += pq * x1 * x2;
      curvature[2] += pq * x2 * x2;
    }
    return { slope, curvature };
  }

  /** ELBO of N(mean, cov): each case is an integral over one logit. */
  function elbo(mean, cov) {
    const expected = rows.map(([x1, x2, y]) => {
      const middle = x1 * mean[0] + x2 * mean[1];
      const std = Math.sqrt(form(cov, x1, x2));
      let total = 0;
      for (let k = 0; k < NODES.length; k++) {
        const a = middle + std * NODES[k];
        total += WEIGHTS[k] * (y * a - softplus(a));
      }
      return total;
    });
    const kl = 0.5 * (mean[0] ** 2 + mean[1] ** 2 + cov[0] + cov[2] - 2 - Math.log(det(cov)));
    return sum(expected) - kl;
  }

  return { rows, logJoint, averaged, elbo };
}

/**
 * Newton's method on log p(y, w), or with slope and curvature averaged over q: its end is Laplace's approximation, or
 * the Gaussian with the largest ELBO, full or diagonal. Steps are halved as soon as they grow.
 */
function climb(model, family, from) {
  let mean = from?.mean ?? [0, 0];
  let precision = from ? inverse(from.cov) : [1, 0, 1];
  if (family === "diagonal") precision = [precision[0], 0, precision[2]];
  let [share, before] = [1, Infinity];
  for (let i = 0; i < 500; i++) {
    const { slope, curvature } = model.averaged(mean, family === "laplace" ? null : inverse(precision));
    const step = times(inverse(curvature), slope);
    if (family === "diagonal") curvature[1] = 0;
    const bend = curvature.map((c, k) => Math.abs(c - precision[k]) / precision[0]);
    const change = Math.max(...step.map(Math.abs), ...bend);
    if (change > before) share = Math.max(share / 2, 1 / 64);
    before = change;
    mean = mean.map((m, k) => m + share * step[k]);
    precision = precision.map((p, k) => p + share * (curvature[k] - p));
    if (change < 1e-14) break;
  }
  return { mean, cov: inverse(precision) };
}

/** The posterior on a grid around Laplace's approximation: density[j * size + i] at (first[i], second[j]), moments. */
function onGrid(model, top, [size, halfWidth]) {
  const axis = (k) => {
    const reach = halfWidth * Math.sqrt(top.cov[2 * k]);
    return linspace(Math.max(top.mean[k] - reach, -10), Math.min(top.mean[k] + reach, 10), size);
  };
  const [first, second] = [axis(0), axis(1)];
  const { rows } = model;
  const count = rows.length;
  // log(1 + e^a) = max(a, 0) + log(1 + e^−|a|), with e^a a product of two tables and one logarithm for all cases.
  const product = (places, k, at) => rows[at % count][k] * places[Math.floor(at / count)];
  const table = (places, k) => Float64Array.from({ length: size * count }, (_, at) => product(places, k, at));
  const [a1, a2] = [table(first, 0), table(second, 1)];
  const [e1, e2] = [a1.map(Math.exp), a2.map(Math.exp)];
  const ones = [0, 1].map((k) => sum(rows.map((row) => row[2] * row[k])));
  const logs = new Float64Array(size * size);
  let highest = -Infinity;
  for (let j = 0; j < size; j++) {
    for (let i = 0; i < size; i++) {
      let [positive, product] = [0, 1];
      for (let n = 0, p = i * count, q = j * count; n < count; n++, p++, q++) {
        const a = a1[p] + a2[q];
        const e = e1[p] * e2[q];
        if (a > 0) positive += a;
        product *= 1 + (a > 0 ? 1 / e : e);
      }
      const prior = -LOG_2PI - 0.5 * (first[i] * first[i] + second[j] * second[j]);
      const value = ones[0] * first[i] + ones[1] * second[j] - positive - Math.log(product) + prior;
      logs[j * size + i] = value;
      if (value > highest) highest = value;
    }
  }
  const cell = (first[1] - first[0]) * (second[1] - second[0]);
  const total = logs.reduce((all, value) => all + Math.exp(value - highest), 0);
  const logEvidence = highest + Math.log(total) + Math.log(cell);
  const density = logs.map((value) => Math.exp(value - logEvidence));
  const mean = [0, 0];
  const cov = [0, 0, 0];
  const each = (add) => density.forEach((d, at) => add(d * cell, first[at % size], second[Math.floor(at / size)]));
  each((share, x, y) => ((mean[0] += share * x), (mean[1] += share * y)));
  each((share, x, y) => {
    const [dx, dy] = [x - mean[0], y - mean[1]];
    cov[0] += share * dx * dx;
    cov[1] += share * dx * dy;
    cov[2] += share * dy * dy;
  });
  return { first, second, density, logEvidence, mean, cov };
}

/** The density above which the given share of the mass lies, and the share that really does on this grid. */
function levelAndMass(density, content) {
  const heights = density.toSorted().reverse();
  const total = sum(heights);
  let above = 0;
  for (const height of heights) {
    above += height;
    if (above / total >= content) return { level: height, mass: above / total };
  }
}

/** All that does not depend on the reader's Gaussian, in weights of the features as they came. */
function posteriors(ready, count, scale) {
  const model = regression(ready, count, scale);
  const top = climb(model, "laplace");
  const grid = onGrid(model, top, ready.grid);
  const { level, mass } = levelAndMass(grid.density, ready.content);
  const numbers = {
    log_evidence: grid.logEvidence,
    level: level / scale ** 2,
    mass,
    exact_mean: scaled(grid.mean, scale),
    exact_cov: square(grid.cov, scale),
  };
  for (const name of ["laplace", "diagonal", "full"]) {
    const { mean, cov } = name === "laplace" ? top : climb(model, name, top);
    Object.assign(numbers, described(name, mean, cov, grid.logEvidence - model.elbo(mean, cov), scale));
  }
  return { model, grid, level, numbers };
}

const scaled = (vector, scale) => vector.map((x) => scale * x);
const square = ([a, b, c], scale) => scaled([a, b, b, c], scale * scale);
const described = (name, mean, cov, kl, scale) =>
  ({ [`${name}_mean`]: scaled(mean, scale), [`${name}_cov`]: square(cov, scale), [`${name}_kl`]: kl });

/** The symmetric matrix of the Gaussian with these standard deviations along and across a line, angle in degrees. */
function covByAxes({ along, across, angle }) {
  const [c, s] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
  const [a, b] = [along ** 2, across ** 2];
  return [c * c * a + s * s * b, c * s * (a - b), s * s * a + c * c * b];
}

/** The ellipse that lies the given number of standard deviations around the mean, as two arrays. */
function ellipse(mean, [a, b, , c], radius) {
  const [l1, l2] = [Math.sqrt(a), b / Math.sqrt(a)];
  const l3 = Math.sqrt(c - l2 * l2);
  return [
    TURN.map((t) => mean[0] + radius * l1 * Math.cos(t)),
    TURN.map((t) => mean[1] + radius * (l2 * Math.cos(t) + l3 * Math.sin(t))),
  ];
}

const inDegrees = (x, y) => (Math.atan2(y, x) * 180) / Math.PI;
const around = (degrees) => degrees - 360 * Math.round(degrees / 360);

export default {
  prepare(data) {
    const ready = { ...data, features: unpacked(data.features), labels: unpacked(data.labels) };
    // Nothing of it changes while the reader drags a Gaussian.
    let kept = {};
    ready.at = ({ num_cases, prior_scale }) => {
      const key = `${num_cases} ${prior_scale}`;
      if (kept.key !== key) kept = { key, ...posteriors(ready, num_cases, prior_scale) };
      return kept;
    };
    return ready;
  },

  numbers(ready, values) {
    const { model, grid, numbers } = ready.at(values);
    const scale = values.prior_scale;
    const mean = [values.first / scale, values.second / scale];
    const cov = scaled(covByAxes(values), 1 / (scale * scale));
    return { ...numbers, ...described("own", mean, cov, grid.logEvidence - model.elbo(mean, cov), scale) };
  },

  draw(stage, ready) {
    const { low, high, radius, names } = ready;
    const row = (k) => 3 - k; // from the top down
    const bars = {
      y: [-0.6, 3.6], yTicks: [0, 1, 2, 3], yNames: ["yours", "full", "diagonal", "Laplace"], xTicks: 3,
      least: 200, height: 210, roomLeft: 14,
    };
    const [plane, all, zoom] = stage.plots(
      {
        share: 1.7, least: 320, height: (width) => Math.min(width - 10, 440),
        x: [low, high], y: [low, high], equal: true, xLabel: `weight of ${names[0]}`, yLabel: `weight of ${names[1]}`,
        title: "90 % of the posterior; drag your own (purple)",
        alt: "Outlines around 90 % of the posterior: exact, three fitted Gaussians and yours.",
      },
      { ...bars, x: [0, ready.top], title: "KL(q‖p(w|y)), nats", alt: "KL of each Gaussian to the posterior." },
      { ...bars, x: [0, ready.zoom], title: "magnified", alt: "The same, magnified." },
    );
    plane.rule({ colour: "line", width: 0.6 })(0);
    plane.rule({ colour: "line", width: 0.6, axis: "y" })(0);
    const prior = plane.curve({ colour: "grey", width: 1.2, dash: "2 4" });
    let exact = null;
    const outline = plane.contour({ colour: "green", levels: [0], width: 7, opacity: 0.45 });
    const colours = { laplace: "orange", diagonal: "vermillion", full: "blue", own: "purple" };
    const dashes = { laplace: "6 4", diagonal: "8 3 2 3" };
    const outlines = GAUSSIANS.map((name) => plane.curve({ colour: colours[name], dash: dashes[name] ?? "" }));
    const axes = [0, 1].map(() => plane.curve({ colour: "purple", width: 1, dash: "3 3" }));
    const columns = [all, zoom].map((plot) =>
      GAUSSIANS.map((name) => [plot.bar({ colour: colours[name] }), plot.text({ dx: 4, dy: 4, anchor: "start" })]));
    const tip = (x, y) => [x - stage.values.first, y - stage.values.second];
    // The tips lie above the middle: of a narrow Gaussian they stand close to it.
    const middle = plane.handle({
      label: "the mean of your Gaussian", colour: "purple", moves: { across: "first", up: "second" },
      drag: (x, y) => ({ first: x, second: y }),
    });
    const along = plane.handle({
      label: "tip of the first axis of your Gaussian", colour: "purple", radius: 6,
      moves: { across: "angle", up: "along" },
      drag: (x, y) => ({ along: Math.hypot(...tip(x, y)) / radius, angle: inDegrees(...tip(x, y)) }),
    });
    const across = plane.handle({
      label: "tip of the second axis of your Gaussian", colour: "purple", radius: 6,
      moves: { across: "angle", up: "across" },
      drag: (x, y) => ({ across: Math.hypot(...tip(x, y)) / radius, angle: around(inDegrees(...tip(x, y)) - 90) }),
    });
    let shown = stage.values;
    plane.hover((x, y) => {
      const { model, grid } = ready.at(shown);
      const scale = shown.prior_scale;
      const logPosterior = model.logJoint(x / scale, y / scale) - grid.logEvidence - 2 * Math.log(scale);
      const cov = covByAxes(shown);
      const logQ = -LOG_2PI - 0.5 * Math.log(det(cov)) - 0.5 * form(inverse(cov), x - shown.first, y - shown.second);
      const [p, q] = [Math.exp(logPosterior), Math.exp(logQ)];
      return (
        `weights ${fixed(x, 1)}, ${fixed(y, 1)}: posterior density p ${fixed(p, 4)}, yours q ${fixed(q, 4)}; ` +
        `to your KL it adds q log q/p = ${fixed(q * (logQ - logPosterior), 4)} nats per unit of area`
      );
    }, { plane: true });
    stage.legend(
      ["exact", "green", "area"], ["Laplace", "orange", "dashed"], ["variational, diagonal", "vermillion", "dashed"],
      ["variational, full", "blue"], ["yours", "purple"], ["prior", "grey", "dashed"],
    );
    return (now, values) => {
      shown = values;
      const { grid, level } = ready.at(values);
      const scale = values.prior_scale;
      if (exact !== grid) {
        exact = grid;
        outline(grid.first.map((w) => scale * w), grid.second.map((w) => scale * w), grid.density, [level]);
        prior(...ellipse([0, 0], [scale * scale, 0, 0, scale * scale], radius));
      }
      GAUSSIANS.forEach((name, k) => {
        outlines[k](...ellipse(now[`${name}_mean`], now[`${name}_cov`], radius));
        const kl = now[`${name}_kl`];
        columns.forEach((column, m) => {
          const top = m ? ready.zoom : ready.top;
          column[k][0](0, Math.min(kl, top), row(k) - 0.35, row(k) + 0.35);
          column[k][1](kl > top ? "→" : inNats(kl), Math.min(kl, 0.85 * top), row(k));
        });
      });
      const turn = (values.angle * Math.PI) / 180;
      const [c, s] = [radius * Math.cos(turn), radius * Math.sin(turn)];
      const tips = [[c * values.along, s * values.along], [-s * values.across, c * values.across]];
      tips.forEach(([dx, dy], k) => {
        axes[k]([values.first - dx, values.first + dx], [values.second - dy, values.second + dy]);
        [along, across][k](values.first + dx, values.second + dy);
      });
      middle(values.first, values.second);
    };
  },

  readout(now, { num_cases, prior_scale }) {
    const kl = GAUSSIANS.map((name) => now[`${name}_kl`]);
    const [laplace, diagonal, full, own] = kl.map(inNats);
    const beaten = ["Laplace’s", "the diagonal one", "the full one"].filter((_, k) => kl[3] < kl[k]);
    return [
      `${num_cases} cases, prior standard deviation ${fixed(prior_scale, 1)}: log p(y) ${fixed(now.log_evidence)} nats`,
      `KL(q‖p(w|y)): Laplace ${laplace}, diagonal ${diagonal}, full ${full}, yours ${own} nats` +
        (beaten.length ? `; yours is nearer to the posterior than ${beaten.join(" and ")}` : ""),
    ];
  },
};

const inNats = (kl) => fixed(kl, kl < 10 ? 3 : 1);
