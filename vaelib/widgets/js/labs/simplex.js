// Lesson 17: a ball on the simplex, and the slopes that estimators give it. vaelib/widgets/simplex_lab.py holds the same.

import { fixed } from "../engine/elements.js";
import { linspace, logSumExp, sum } from "../engine/maths.js";
import { remembered, uniform } from "../engine/random.js";

const CORNERS = [[0, 0], [1, 0], [0.5, Math.sqrt(0.75)]]; // of the simplex, in the plane
const COLOURS = {
  "score function": "purple", "score function, with baseline": "vermillion", "Gumbel-softmax": "sky",
  "straight-through": "orange",
};
const BALLS = [["true", "grey", "exact"], ["relaxed", "sky", "Gumbel-softmax"], ["straight", "orange", "straight-through"]];
const STEPS_A_SECOND = 40;
const ROOM = 0.05; // above and below the losses

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const inPlane = (pi) => [0, 1].map((axis) => pi[0] * CORNERS[0][axis] + pi[1] * CORNERS[1][axis] + pi[2] * CORNERS[2][axis]);

/** Three probabilities of at least `least` from the first two. */
function probabilities(least, first, second) {
  const rest = 1 - 3 * least;
  const [one, two] = [first - least, second - least];
  const scale = Math.min(1, rest / Math.max(one + two, 1e-12));
  return [least + one * scale, least + two * scale, least + Math.max(rest - one * scale - two * scale, 0)];
}

/** The first two probabilities of a place in the plane, each at least `least`. */
function fromPlane(least, x, y) {
  const third = y / CORNERS[2][1];
  const second = x - 0.5 * third;
  const raised = [1 - second - third, second, third].map((each) => Math.max(each, least));
  const total = sum(raised);
  return [raised[0] / total, raised[1] / total];
}

/** A point spread evenly over the simplex from a uniform pair. */
function spacing(u, v) {
  const root = Math.sqrt(u);
  return [1 - root, root * (1 - v), root * v];
}

/** What the logits see of a gradient in the probabilities. */
function softmaxGradient(pi, g) {
  const mean = dot(pi, g);
  return pi.map((each, k) => each * (g[k] - mean));
}

const slopeAt = (y, t) => y.map((each, k) => 2 * (each - t[k]));
const fromLogits = (logits) => {
  const total = logSumExp(logits);
  return logits.map((each) => Math.exp(each - total));
};
const relaxed = (logPi, tau, logPoint) => fromLogits(logPi.map((each, k) => (each - logPoint[k]) / tau));

/** The mean of Gumbel-softmax over points of noise; written out, since a ball asks for it two hundred times a frame. */
function relaxedSlope(pi, t, tau, logPoints) {
  const [l0, l1, l2] = pi.map(Math.log);
  const total = [0, 0, 0];
  for (const [p0, p1, p2] of logPoints) {
    const [a0, a1, a2] = [(l0 - p0) / tau, (l1 - p1) / tau, (l2 - p2) / tau];
    const top = Math.max(a0, a1, a2);
    const [e0, e1, e2] = [Math.exp(a0 - top), Math.exp(a1 - top), Math.exp(a2 - top)];
    const all = e0 + e1 + e2;
    const [y0, y1, y2] = [e0 / all, e1 / all, e2 / all];
    const [g0, g1, g2] = [2 * (y0 - t[0]), 2 * (y1 - t[1]), 2 * (y2 - t[2])];
    const mean = y0 * g0 + y1 * g1 + y2 * g2;
    total[0] += y0 * (g0 - mean);
    total[1] += y1 * (g1 - mean);
    total[2] += y2 * (g2 - mean);
  }
  return total.map((each) => each / logPoints.length / tau);
}

/** One estimate of the gradient in the logits. */
function estimate(name, pi, t, f, tau, point) {
  if (name === "Gumbel-softmax") {
    const y = relaxed(pi.map(Math.log), tau, point.map(Math.log));
    return softmaxGradient(y, slopeAt(y, t)).map((each) => each / tau);
  }
  const scores = pi.map((each, k) => each / point[k]);
  const drawn = scores.indexOf(Math.max(...scores));
  const z = [0, 1, 2].map((k) => (k === drawn ? 1 : 0));
  if (name === "straight-through") return softmaxGradient(pi, slopeAt(z, t));
  const value = f[drawn] - (name === "score function, with baseline" ? dot(pi, f) : 0);
  return z.map((each, k) => value * (each - pi[k]));
}

/** Where a ball is after each step down a field of slopes in the logits. */
function descent(field, pi, [count, size]) {
  let logits = pi.map(Math.log);
  const way = [pi];
  for (let i = 0; i < count; i++) {
    const slope = field(way[i]);
    logits = logits.map((each, k) => each - size * slope[k]);
    const total = logSumExp(logits);
    logits = logits.map((each) => each - total);
    way.push(logits.map(Math.exp));
  }
  return way;
}

/** The balls' ways; kept while only the arrows change. */
function waysOf(ready, pi, t, f, tau) {
  const name = [...pi, ...t, tau].join();
  if (ready.kept?.name !== name) {
    const fields = {
      true: (at) => softmaxGradient(at, f),
      relaxed: (at) => relaxedSlope(at, t, tau, ready.logPoints),
      straight: (at) => softmaxGradient(at, slopeAt(at, t)),
    };
    const ways = Object.fromEntries(BALLS.map(([each]) => [each, descent(fields[each], pi, ready.descent)]));
    ready.kept = { name, fields, ways };
  }
  return ready.kept;
}

export default {
  prepare(data) {
    const [count, turn] = data.lattice;
    const logPoints = Array.from({ length: count }, (_, i) =>
      spacing((i + 0.5) / count, (((i * turn) % count) + 0.5) / count).map(Math.log));
    return { ...data, logPoints, at: linspace(0, data.descent[0], data.descent[0] + 1), noise: remembered((seed) => uniform(seed, 2 * data.arrows[0])) };
  },

  numbers(ready, { estimator, tau, steps, seed, pi_1: pi1, pi_2: pi2, t_1: t1, t_2: t2 }) {
    const [pi, t] = [probabilities(ready.least, pi1, pi2), probabilities(ready.least, t1, t2)];
    const f = [0, 1, 2].map((k) => sum(t.map((each, j) => ((j === k ? 1 : 0) - each) ** 2)));
    const { fields, ways } = waysOf(ready, pi, t, f, tau);
    const [count, length] = ready.arrows;
    const u = ready.noise(seed).map((each) => Math.max(each, 2 ** -33));
    const single = Array.from({ length: count }, (_, i) => estimate(estimator, pi, t, f, tau, spacing(u[2 * i], u[2 * i + 1])));
    const field = { "Gumbel-softmax": "relaxed", "straight-through": "straight" }[estimator] ?? "true";
    const mean = fields[field](pi);
    const tip = (gradient) => inPlane(softmaxGradient(pi, gradient).map((each, k) => pi[k] - length * each));
    const now = {
      pi, t, f,
      exact_tip: tip(fields.true(pi)),
      mean_tip: tip(mean),
      tips: single.map(tip).flat(),
      spread: Math.sqrt(sum(single.map((each) => sum(each.map((x, k) => (x - mean[k]) ** 2)))) / count),
    };
    for (const [name] of BALLS) {
      now[`way_${name}`] = ways[name].flatMap(inPlane);
      now[`loss_${name}`] = ways[name].map((at) => dot(at, f));
      now[`end_${name}`] = ways[name][steps];
    }
    return now;
  },

  draw(stage, { least, at, descent: [most] }) {
    const [triangle, losses] = stage.plots(
      {
        share: 1.25, least: 320, height: (width) => Math.min(420, 0.9 * width), x: [-0.1, 1.1], y: [-0.12, 0.98],
        equal: true, bare: true, xTicks: 0, yTicks: 0, title: "drag π and the target t",
        alt: "The simplex with π, the target t, arrows from π, and three balls.",
      },
      {
        share: 1, least: 300, height: 330, x: [0, most], y: [0, 1], xLabel: "step", yLabel: "loss of hard draws",
        alt: "The loss of each ball against the steps, with the lowest loss that any π has.", title: "where the balls stand",
      },
    );
    const edge = [...CORNERS, CORNERS[0]];
    triangle.curve({ colour: "ink", width: 1 })(edge.map(([x]) => x), edge.map(([, y]) => y));
    CORNERS.forEach(([x, y], k) => triangle.text({ dy: k === 2 ? -8 : 18 })(`class ${k + 1}`, x, y));
    const clouds = Object.fromEntries(Object.entries(COLOURS).map(([name, colour]) => [name, triangle.curve({ colour, width: 0.8 })]));
    const ways = BALLS.map(([name, colour]) => ({
      name, way: triangle.curve({ colour, width: 2 }), curve: losses.curve({ colour }),
      // Wider than a handle, which may lie over it.
      ball: triangle.dots({ colour, radius: 10, opacity: 1 }), end: losses.dots({ colour, radius: 5, opacity: 1 }),
    }));
    const means = Object.fromEntries(Object.entries(COLOURS).map(([name, colour]) => [name, triangle.arrow({ colour, width: 3 })]));
    const exact = triangle.arrow({ colour: "grey", width: 3 });
    const lowest = losses.rule({ colour: "ink", axis: "y", width: 1, dash: "5 4" });
    const toControls = (first, second) => (x, y) => {
      const [one, two] = fromPlane(least, x, y);
      return { [first]: one, [second]: two };
    };
    const target = triangle.handle({
      label: "the target t", colour: "green", moves: { across: "t_2", up: "t_1" }, turned: ["t_1"], cursor: "move",
      drag: toControls("t_1", "t_2"),
    });
    const point = triangle.handle({
      label: "π, where the balls start", colour: "blue", moves: { across: "pi_2", up: "pi_1" }, turned: ["pi_1"],
      cursor: "move", drag: toControls("pi_1", "pi_2"),
    });
    stage.legend(
      ["π", "blue", "dot"], ["target t", "green", "dot"], ["exact", "grey"], ["Gumbel-softmax", "sky"],
      ["straight-through", "orange"], ["score function", "purple"], ["with baseline", "vermillion"],
      ["the lowest loss", "ink", "dashed"],
    );
    return (now, { estimator, steps }) => {
      const from = inPlane(now.pi);
      for (const name of Object.keys(COLOURS)) {
        const [xs, ys] = [[], []];
        if (name === estimator) {
          for (let i = 0; i < now.tips.length; i += 2) {
            xs.push(from[0], now.tips[i], NaN);
            ys.push(from[1], now.tips[i + 1], NaN);
          }
        }
        clouds[name](xs, ys);
        means[name](...from, ...(name === estimator ? now.mean_tip : from));
      }
      exact(...from, ...now.exact_tip);
      const [low, high] = [Math.min(...now.f), Math.max(...now.f)];
      losses.rangeY(low - ROOM, high + ROOM);
      lowest(low);
      for (const { name, way, curve, ball, end } of ways) {
        const upTo = (axis) => Array.from({ length: steps + 1 }, (_, i) => now[`way_${name}`][2 * i + axis]);
        const [xs, ys] = [upTo(0), upTo(1)];
        way(xs, ys);
        ball(steps ? [xs.at(-1)] : [], [ys.at(-1)]);
        curve(at.slice(0, steps + 1), now[`loss_${name}`].slice(0, steps + 1));
        end([steps], [now[`loss_${name}`][steps]]);
      }
      target(...inPlane(now.t));
      point(...from);
    };
  },

  buttons(stage, { descent: [most] }) {
    let due = 0;
    stage.playButton("Roll", (seconds) => {
      const { steps } = stage.values;
      if (seconds === 0 && steps >= most) return stage.set({ steps: 0 }); // from the start again
      due += STEPS_A_SECOND * seconds;
      const whole = Math.floor(due);
      due -= whole;
      if (whole) stage.set({ steps: Math.min(most, steps + whole) });
      return steps + whole < most;
    });
    stage.button("To the start", () => stage.set({ steps: 0 }));
    stage.button("New noise", () => stage.set({ seed: (stage.values.seed + 1) % 1000 }));
  },

  readout(now, { estimator, steps }) {
    const three = (at) => `(${Array.from(at, (each) => fixed(each, 2)).join(", ")})`;
    return [
      `π = ${three(now.pi)}, t = ${three(now.t)}; the losses of the classes are ${three(now.f)}`,
      `single estimates of ${estimator}: typical distance from their mean ${fixed(now.spread)}`,
      steps
        ? `after ${steps} steps: ` + BALLS.map(([name, , text]) => `${text} at ${three(now[`end_${name}`])}`).join(" · ")
        : "press Roll: three balls start at π",
    ];
  },
};
