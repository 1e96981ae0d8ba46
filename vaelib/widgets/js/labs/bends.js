// Lesson 15: two planar layers bend the line, or fold it. vaelib/widgets/bends_lab.py holds the same.

import { fixed } from "../engine/elements.js";
import { linspace, logNormal, sum } from "../engine/maths.js";

const LEAST = 1e-12; // length of a cell's image
const TOPS = [2, 5, 20, 100, 500, 2000]; // of the bars' axis, nats

/** log p(z) of the two targets, as functions by name. */
function targets({ case: [x, s, logNormaliser], names: [two, one] }) {
  const prior = (z) => logNormal(z, 0, 0);
  return { [one]: prior, [two]: (z) => prior(z) + logNormal(x, z * z, 2 * Math.log(s)) - logNormaliser };
}

/** The layers of these values: { place, slope, steep, push }, their slopes constrained or not. */
function layersOf({ constraint: [shift, margin] }, values) {
  return ["a", "b"].map((name) => {
    const [place, push, steep] = ["place", "push", "steep"].map((part) => values[`${part}_${name}`]);
    const slope = push * steep;
    return { place, push, steep, slope: values.constrained ? Math.max(softplus(slope + shift), margin) - 1 : slope };
  });
}

const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const bent = ({ place, slope, steep }, z) => z + (slope / steep) * Math.tanh(steep * (z - place));

/** The mean of log |y| between y = start and end, y taken as straight: right also where it changes sign. */
function meanLog(start, end, linear) {
  const middle = 0.5 * (start + end);
  const change = end - start;
  if (Math.abs(change) < linear * Math.abs(middle)) {
    const ratio = change / middle;
    return Math.log(Math.abs(middle)) - ratio ** 2 / 24 - ratio ** 4 / 320;
  }
  return (logIntegral(end) - logIntegral(start)) / change;
}

const logIntegral = (y) => (y === 0 ? 0 : y * Math.log(Math.abs(y)) - y);

/** The ε that arrives at a place: where z crosses it first; an end if it never does. */
function where(eps, z, place) {
  for (let i = 0; i + 1 < z.length; i++) {
    if (z[i] > place !== z[i + 1] > place) {
      return eps[i] + ((eps[i + 1] - eps[i]) * (place - z[i])) / (z[i + 1] - z[i]);
    }
  }
  return z.at(-1) < place ? eps.at(-1) : eps[0];
}

/** z at an ε, between the nodes on straight lines. */
function at(eps, z, place) {
  const i = Math.max(0, Math.min(eps.length - 2, eps.findIndex((each) => each > place) - 1));
  if (place >= eps.at(-1)) return z.at(-1);
  return z[i] + ((z[i + 1] - z[i]) / (eps[i + 1] - eps[i])) * (place - eps[i]);
}

/** Share each cell's mass out over the bins that its image lies across; count the cells over each bin's middle. */
function collect(z, mass, edges) {
  const below = new Float64Array(edges.length);
  const layers = new Float64Array(edges.length - 1);
  for (let k = 0; k < mass.length; k++) {
    const low = Math.min(z[k], z[k + 1]);
    const high = Math.max(z[k], z[k + 1]);
    const length = Math.max(high - low, LEAST);
    const step = edges[1] - edges[0];
    for (let j = Math.max(0, Math.floor((low - edges[0]) / step) - 1); j < edges.length; j++) {
      const share = (edges[j] - low) / length;
      if (share > 0) below[j] += share < 1 ? share * mass[k] : mass[k];
      if (j + 1 < edges.length && share < 1) {
        const middle = 0.5 * (edges[j + 1] + edges[j]);
        if (low <= middle && middle < high) layers[j]++;
      }
    }
  }
  const total = sum(mass);
  const bins = [below[0], ...Array.from(below.slice(1), (each, j) => each - below[j]), total - below.at(-1)];
  return { bins: bins.map((each) => Math.max(each, 0)), layers };
}

export default {
  prepare: (data) => ({
    ...data,
    logTarget: targets(data),
    eps: linspace(-data.eps[1], data.eps[1], data.eps[0]),
    each: data.eps[2],
    drawn: linspace(-data.eps[1], data.eps[1], data.eps[0]).filter((_, i) => i % data.eps[2] === 0),
    edges: linspace(...data.edges),
    places: linspace(...data.edges).slice(1).map((edge, j) => 0.5 * (edge + linspace(...data.edges)[j])),
  }),

  numbers(ready, values) {
    const { eps, edges, places } = ready;
    const logPhi = Array.from(eps, (e) => logNormal(e, 0, 0));
    const weights = logPhi.map((each) => (eps[1] - eps[0]) * Math.exp(each));
    const mass = weights.slice(1).map((each, i) => 0.5 * (each + weights[i]));
    let z = Array.from(eps, (e) => values.sigma * e);
    let logSlope = Math.log(values.sigma);
    const layers = layersOf(ready, values);
    const middles = layers.map((layer) => {
      const middle = where(eps, z, layer.place);
      const change = z.map((each) => 1 + layer.slope * (1 - Math.tanh(layer.steep * (each - layer.place)) ** 2));
      // Where the slope goes through 0 its logarithm has a pole, which nodes alone would miss or hit.
      logSlope += layer.slope > -1
        ? sum(weights.map((each, i) => each * Math.log(change[i])))
        : sum(mass.map((each, i) => each * meanLog(change[i], change[i + 1], ready.constraint[2])));
      z = z.map((each) => bent(layer, each));
      return middle;
    });
    const logTarget = ready.logTarget[values.target];
    const reported = sum(weights.map((each, i) => each * (logPhi[i] - logTarget(z[i])))) - logSlope;
    const { bins, layers: over } = collect(z, mass, edges);
    const total = sum(bins);
    const share = ready.shares[values.target];
    const drawn = sum(bins.map((each, j) => (each > 0 ? each * Math.log(each / total / share[j]) : 0)));
    return {
      reported,
      drawn: drawn / total,
      slopes: layers.map(({ slope }) => slope),
      middles,
      heights: middles.map((middle) => at(eps, z, middle)),
      z: z.filter((_, i) => i % ready.each === 0),
      q: bins.slice(1, -1).map((each) => each / (edges[1] - edges[0])),
      p: Array.from(places, (each) => Math.exp(logTarget(each))),
      layers: over,
    };
  },

  draw(stage, ready) {
    const { drawn: eps, places, names, case: [, , , bestNormal] } = ready;
    const [map, density, bars] = stage.plots(
      {
        share: 1, least: 240, height: 330, x: [-3.5, 3.5], y: [-3, 3], xTicks: [-3, -2, -1, 0, 1, 2, 3],
        xLabel: "noise ε", yLabel: "z",
        alt: "The map from the noise to z.", title: "the map: drag the bends A and B",
      },
      {
        share: 1.1, least: 260, height: 330, x: [places[0], places.at(-1)], y: [-0.06, 1.6], xLabel: "z",
        yLabel: "density", alt: "The density of what the map draws, beside the target.", title: "what it draws",
      },
      {
        share: 0.85, least: 215, height: 330, x: [-0.7, 1.7], y: [-1.1, 2], xTicks: [0, 1],
        xNames: ["reported", "drawn"], yLabel: "nats", roomLeft: 6, alt: "Two KL as bars.", title: "KL to the target",
      },
    );
    const level = map.rule({ colour: "vermillion", axis: "y", dash: "3 4", width: 1 });
    const line = map.curve({ colour: "blue", width: 2.5 });
    const levers = [0, 1].map(() => map.curve({ colour: "purple", width: 1.5 }));
    const meets = map.dots({ colour: "vermillion", radius: 4.5, opacity: 1 });
    const [q, edge] = [density.area({ colour: "blue", opacity: 0.3 }), density.curve({ colour: "blue" })];
    const p = density.curve({ colour: "green", width: 2.5 });
    const crowd = density.area({ colour: "vermillion", opacity: 1 });
    const zero = bars.rule({ colour: "ink", axis: "y" });
    const normal = bars.rule({ colour: "grey", axis: "y", dash: "6 4" });
    const [fine, wrong, honest] = ["orange", "vermillion", "blue"].map((colour) => bars.bar({ colour }));
    const counts = [0, 1].map(() => bars.text({ bold: true }));
    const names_ = [0, 1].map(() => map.text({ colour: "purple", dx: 14, dy: 4, bold: true }));
    const holds = ["a", "b"].map((name, k) => map.handle({
      label: `bend ${name.toUpperCase()}: its place and its push`, colour: "purple", cursor: "move",
      moves: { across: `place_${name}`, up: `push_${name}` },
      drag(across, up) {
        const layers = layersOf(ready, stage.values);
        const start = stage.values.sigma * across;
        const place = k === 0 ? start : bent(layers[0], start);
        return { [`place_${name}`]: place, [`push_${name}`]: up - (k === 0 ? bent(layers[1], place) : place) };
      },
    }));
    map.hover((across) => `ε ${fixed(across, 2)} becomes z ${fixed(layersOf(ready, stage.values)
      .reduce((z, layer) => bent(layer, z), stage.values.sigma * across), 2)}`);
    stage.legend(
      ["the map, and q", "blue"], ["target p", "green"], ["KL reported", "orange", "area"],
      ["several ε for one z", "vermillion", "area"], ["KL of the best normal", "grey", "dashed"],
    );
    return (now, values) => {
      const most = Math.max(...now.layers);
      line(eps, now.z);
      const pushes = [values.push_a, values.push_b];
      holds.forEach((hold, k) => {
        const [across, foot] = [now.middles[k], now.heights[k]];
        levers[k]([across, across], [foot, foot + pushes[k]]);
        hold(across, foot + pushes[k]);
        names_[k]("AB"[k], Math.max(-3.4, Math.min(3, across)), Math.max(-2.9, Math.min(2.9, foot + pushes[k])));
      });
      const shared = most > 1 ? middleOf(now.layers, most, places) : NaN;
      level(most > 1 ? shared : 0);
      level.node.setAttribute("visibility", most > 1 ? "visible" : "hidden");
      const crossings = most > 1 ? crossed(eps, now.z, shared) : [];
      meets(crossings, crossings.map(() => shared));
      q(places, now.q);
      edge(places, now.q);
      p(places, now.p);
      crowd(places, Array.from(now.layers, (count) => (count > 1 ? 0 : NaN)), -0.06);
      const top = TOPS.find((each) => each > 1.12 * Math.max(now.reported, now.drawn)) ?? TOPS.at(-1);
      bars.rangeY(Math.min(-0.075 * top, top === 2 ? -1.1 : 0), top);
      zero(0);
      normal(bestNormal);
      normal.node.setAttribute("visibility", values.target === names[0] ? "visible" : "hidden");
      const negative = now.reported < 0;
      fine(-0.35, 0.35, 0, negative ? 0 : now.reported);
      wrong(-0.35, 0.35, 0, negative ? now.reported : 0);
      honest(0.65, 1.35, 0, now.drawn);
      [now.reported, now.drawn].forEach((kl, k) => {
        counts[k].place({ dy: kl < 0 ? 15 : -6 });
        counts[k](fixed(kl, 2), k, kl);
      });
    };
  },

  readout(now, values, memory, { names, case: [, , , bestNormal] }) {
    const most = Math.max(...now.layers);
    const kl = `KL reported by the change of variables: ${fixed(now.reported, 4)} nats`;
    const slopes = `slopes at the bends: A ${fixed(now.slopes[0], 2)}, B ${fixed(now.slopes[1], 2)}`;
    if (most > 1) {
      return [
        kl + (now.reported < 0 ? ", below zero: it is no KL" : ""),
        `the map folds: up to ${most} noises share one z; the KL of what it draws is at least ${fixed(now.drawn)} nats`,
        slopes,
      ];
    }
    const beside = values.target === names[0] ? `; the best normal has ${fixed(bestNormal, 4)}` : "";
    return [kl + beside, "the map rises everywhere: each z comes from one noise", slopes];
  },
};

/** The middle of the longest run of places over which most noises lie. */
function middleOf(layers, most, places) {
  let [best, start] = [[0, 0], null];
  for (let j = 0; j <= layers.length; j++) {
    if (layers[j] === most) start ??= j;
    else if (start !== null) {
      if (j - start > best[1] - best[0]) best = [start, j];
      start = null;
    }
  }
  return places[Math.floor((best[0] + best[1]) / 2)];
}

/** Every ε at which the map crosses a level. */
function crossed(eps, z, level) {
  const found = [];
  for (let i = 0; i + 1 < z.length; i++) {
    if (z[i] > level !== z[i + 1] > level) {
      found.push(eps[i] + ((eps[i + 1] - eps[i]) * (level - z[i])) / (z[i + 1] - z[i]));
    }
  }
  return found;
}
