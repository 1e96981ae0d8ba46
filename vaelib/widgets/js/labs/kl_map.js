// Lesson 06: the VAE's KL term over (μ, log σ²), a point to drag on it, and q against the prior beside it.
// vaelib/widgets/kl_map_lab.py holds the same.

import { fixed, signed } from "../engine/elements.js";
import { klStandardNormal, linspace, logNormal } from "../engine/maths.js";

// CSS pixels: the width at which all pictures fit into one row, and half of them.
const ONE_ROW = 800;
const TWO_ROWS = 616;
const PEAK = 1 / Math.sqrt(2 * Math.PI);

const gradient = (mu, logVar) => [mu, 0.5 * Math.expm1(logVar)];
const clipped = (value, [low, high]) => Math.min(high, Math.max(low, value));

/** Where steepest descent on the KL leads after a time: μ decays as e^(−t), 1/σ² − 1 as e^(−t/2). */
const flow = (mu, logVar, time) => [mu * Math.exp(-time), -Math.log1p(Math.expm1(-logVar) * Math.exp(-0.5 * time))];

export default {
  prepare: (data) => ({ ...data, z: linspace(...data.z), times: linspace(...data.times) }),

  numbers({ z, times, range, step }, { mu, log_var: logVar }) {
    const [slopeMu, slopeLogVar] = gradient(mu, logVar);
    const way = Array.from(times, (time) => flow(mu, logVar, time));
    const [mean, width] = [klStandardNormal(mu, 0), klStandardNormal(0, logVar)];
    return {
      kl: mean + width,
      mean,
      width,
      slope_mu: slopeMu,
      slope_log_var: slopeLogVar,
      tip: [clipped(mu - step * slopeMu, range), clipped(logVar - step * slopeLogVar, range)],
      path_mu: way.map(([at]) => at),
      path_log_var: way.map(([, at]) => at),
      density: Array.from(z, (at) => Math.exp(logNormal(at, mu, logVar))),
    };
  },

  draw(stage, { z, range, step, levels, arrows }) {
    // All in one row, or the bars in a row of their own, or each picture in one.
    const { width } = stage;
    const wide = width >= ONE_ROW;
    const height = wide ? 310 : Math.min(420, (width >= TWO_ROWS ? (width - 16) / 2 : width) - 20);
    const pictures = [
      {
        share: wide ? 1.6 : 1, least: 300, height, x: range, y: range, equal: true,
        xLabel: "μ", yLabel: "log σ²",
        alt: "Contours of the KL over μ and log σ², a point, one gradient step and the way down.",
        title: "KL in nats; the arrow is one step",
      },
      {
        share: wide ? 1.4 : 1, least: 280, height: wide ? height : Math.min(height, 320),
        x: [z[0], z.at(-1)], y: [0, 1.9], xTicks: [-8, -4, 0, 4, 8], xLabel: "z", yLabel: "density",
        alt: "The prior and q over z.", title: "drag q: its peak is μ, its flank σ",
      },
    ];
    const across = wide ? [-0.5, 0.5] : [-1.2, 1.2];
    const bar = { share: 0.46, least: 70, height: wide ? height : 200, xTicks: [], x: across };
    const bars = [
      { ...bar, y: [0, 13], alt: "The KL in nats as a bar, split into mean and width.", title: "KL, nats" },
      { ...bar, y: [0, 1], alt: "The same bar, cut off at 1 nat.", title: "its first nat" },
    ];
    const rows = wide ? [[...pictures, ...bars]] : [pictures, bars];
    const [map, densities, whole, zoom] = rows.flatMap((row) => stage.plots(...row));

    const grid = linspace(...range, 121);
    const kls = Array.from(grid, (logVar) => Array.from(grid, (mu) => klStandardNormal(mu, logVar)));
    map.contour({ colour: "grey", levels })(grid, grid, kls.flat());
    downhill(map, range, arrows);
    for (const level of levels.filter((each) => each < 6)) {
      const label = map.text({ colour: "ink", size: 11, dy: 4 });
      label.node.setAttribute("style", "paint-order: stroke; stroke: var(--paper); stroke-width: 4px");
      label(String(level), 0, logVarAt(level));
    }
    const path = map.curve({ colour: "blue", dash: "5 4" });
    const arrow = map.arrow({ colour: "vermillion", width: 2.5 });
    const point = map.handle({
      label: "q as a point: its mean across, its log-variance up", colour: "blue", cursor: "move",
      moves: { across: "mu", up: "log_var" }, drag: (x, y) => ({ mu: x, log_var: y }),
    });
    map.hover((mu, logVar) => {
      const [slopeMu, slopeLogVar] = gradient(mu, logVar);
      return (
        `μ ${fixed(mu, 2)}, log σ² ${fixed(logVar, 2)}: KL ${fixed(klStandardNormal(mu, logVar))} nats, ` +
        `gradient (${signed(slopeMu)}, ${signed(slopeLogVar)})`
      );
    });

    densities.curve({ colour: "grey" })(z, z.map((at) => Math.exp(logNormal(at, 0, 0))));
    const area = densities.area({ colour: "blue" });
    const curve = densities.curve({ colour: "blue" });
    const peak = densities.handle({
      label: "the peak of q: its mean", colour: "blue", moves: { across: "mu" }, cursor: "ew-resize",
      drag: (x) => ({ mu: x }),
    });
    const flank = densities.handle({
      label: "the flank of q: its width", colour: "blue", moves: { across: "log_var" }, cursor: "ew-resize",
      drag: (x) => ({ log_var: 2 * Math.log(Math.max(x - stage.values.mu, 1e-6)) }),
    });
    densities.hover((at) => {
      const logQ = logNormal(at, stage.values.mu, stage.values.log_var);
      const logRatio = logQ - logNormal(at, 0, 0);
      return (
        `z ${fixed(at, 2)}: q ${fixed(Math.exp(logQ))}, log q/p ${signed(logRatio)}; to the KL it adds ` +
        `q log q/p = ${signed(Math.exp(logQ) * logRatio)} nats per unit of z`
      );
    });
    const parts = [whole, zoom].map((plot) => [plot.bar({ colour: "vermillion" }), plot.bar({ colour: "orange" })]);
    const total = whole.text({ dy: -5 });
    stage.legend(
      ["q(z|x)", "blue"], ["prior p(z)", "grey"], ["one gradient step", "vermillion"],
      ["the whole descent", "blue", "dashed"],
      ["KL for the mean", "vermillion", "area"], ["KL for the width", "orange", "area"],
    );

    return (now, { mu, log_var: logVar }) => {
      path(now.path_mu, now.path_log_var);
      arrow(mu, logVar, ...now.tip);
      point(mu, logVar);
      area(z, now.density);
      curve(z, now.density);
      const sigma = Math.exp(0.5 * logVar);
      peak(mu, PEAK / sigma);
      flank(mu + sigma, (PEAK / sigma) * Math.exp(-0.5));
      for (const [mean, width] of parts) {
        mean(-0.3, 0.3, 0, now.mean);
        width(-0.3, 0.3, now.mean, now.kl);
      }
      total(fixed(now.kl, 2), 0, now.kl);
    };
  },

  readout: (now) => [
    `KL ${fixed(now.kl)} nats = ${fixed(now.mean)} for the mean + ${fixed(now.width)} for the width`,
    `gradient: ∂KL/∂μ ${signed(now.slope_mu)}, ∂KL/∂log σ² ${signed(now.slope_log_var)}`,
  ],
};

/** The log σ² above 0 at which the width alone costs so many nats: Newton's method, from above. */
function logVarAt(nats) {
  let at = 4;
  for (let i = 0; i < 30; i++) at -= (klStandardNormal(0, at) - nats) / (0.5 * Math.expm1(at));
  return at;
}

/** Small arrows that point downhill, all of one length: the direction of minus the gradient. */
function downhill(map, [low, high], count) {
  const length = 0.4 * ((high - low) / count);
  const places = linspace(low, high, 2 * count + 1).filter((_, i) => i % 2);
  for (const mu of places) {
    for (const logVar of places) {
      const [x, y] = gradient(mu, logVar);
      const steepness = Math.hypot(x, y);
      if (steepness < 1e-9) continue; // at the minimum there is no direction
      const [dx, dy] = [(-0.5 * length * x) / steepness, (-0.5 * length * y) / steepness];
      map.arrow({ colour: "line", width: 1, head: 6 })(mu - dx, logVar - dy, mu + dx, logVar + dy);
    }
  }
}
