// Lesson 19: earthquake or truck? A ball on the square of (q1, q2), and the wake and sleep losses that pull at it.
// vaelib/widgets/causes_lab.py holds the same.

import { fixed } from "../engine/elements.js";
import { linspace, sum } from "../engine/maths.js";

const COLOURS = { wake: "orange", sleep: "purple" };
const STEPS_A_SECOND = 25;
const EDGE = 1e-9; // the walk stays inside the square

const sigmoid = (a) => 1 / (1 + Math.exp(-a));
const logit = (q) => Math.log(q / (1 - q));
const xlogx = (x) => (x > 0 ? x * Math.log(x) : 0);
const product = (q1, q2) => [(1 - q1) * (1 - q2), q1 * (1 - q2), (1 - q1) * q2, q1 * q2];

/** Both losses and their gradients in the logits, from the log posterior of none, first, second and both. */
function losses(logP) {
  const p = logP.map(Math.exp);
  const marginal = [p[1] + p[3], p[2] + p[3]];
  const entropy = sum(p.map(xlogx));
  const alone = [logP[1] - logP[0], logP[2] - logP[0]];
  const together = logP[3] - logP[1] - logP[2] + logP[0];
  const cross = (m, q) => m * Math.log(q) + (1 - m) * Math.log1p(-q);
  return {
    p,
    wake: ([q1, q2]) =>
      sum([q1, 1 - q1, q2, 1 - q2].map(xlogx)) - sum(product(q1, q2).map((each, k) => each * logP[k])),
    sleep: ([q1, q2]) => entropy - cross(marginal[0], q1) - cross(marginal[1], q2),
    gradient: {
      wake: (q) => q.map((each, k) => each * (1 - each) * (logit(each) - alone[k] - together * q[1 - k])),
      sleep: (q) => q.map((each, k) => each - marginal[k]),
    },
  };
}

/** Where the ball is after each step down a gradient. */
function walk(gradient, q, [count, size]) {
  const way = [q];
  for (let i = 0; i < count; i++) {
    const slope = gradient(way[i]);
    way.push(way[i].map((each, k) => Math.min(1 - EDGE, Math.max(EDGE, sigmoid(logit(each) - size * slope[k])))));
  }
  return way;
}

export default {
  prepare: (data) => ({ ...data, ...losses(data.log_posterior), axis: linspace(...data.grid) }),

  numbers({ p, wake, sleep, gradient, descent }, { phase, steps, q_1: q1, q_2: q2 }) {
    const way = walk(gradient[phase], [q1, q2], descent);
    return {
      way: way.flat(), wake: way.map(wake), sleep: way.map(sleep), ball: way[steps], q: product(...way[steps]), p,
    };
  },

  draw(stage, { wake, sleep, axis, levels, states, descent: [most] }) {
    const [square, bars] = stage.plots(
      {
        share: 1.2, least: 300, height: (width) => Math.min(400, 0.95 * width), x: [0, 1], y: [0, 1], equal: true,
        xLabel: "q₁, earthquake", yLabel: "q₂, truck", title: "drag the ball",
        alt: "Contours of the chosen loss over both probabilities, the ball and its way down.",
      },
      {
        share: 1, least: 280, height: 300, x: [-0.6, 3.6], y: [0, 1.08], xTicks: 0, xLabel: "what made the house jump",
        yLabel: "probability", title: "the four explanations", alt: "The posterior and q of no cause, earthquake, truck and both.",
      },
    );
    const [curves] = stage.plots({
      share: 1, least: 300, height: 200, x: [0, most], y: [0, 8], xLabel: "steps", yLabel: "nats",
      title: "both losses along the way", alt: "The wake and the sleep loss against the steps taken.",
    });
    const surfaces = Object.entries({ wake, sleep }).map(([name, loss]) => {
      const draw = square.contour({ colour: COLOURS[name], levels: levels[name], opacity: 0.8 });
      const values = Array.from(axis, (q2) => Array.from(axis, (q1) => loss([q1, q2]))).flat();
      const nowhere = levels[name].map(() => 1e9);
      return { name, show: (on) => draw(axis, axis, values, on ? levels[name] : nowhere) };
    });
    let shownSurface = "";
    const ways = Object.entries(COLOURS).map(([name, colour]) => ({
      name, draw: square.curve({ colour, width: 1.5, dash: "5 4" }),
      curve: curves.curve({ colour }), end: curves.dots({ colour, radius: 5, opacity: 1 }),
    }));
    const ball = square.dots({ colour: "blue", radius: 10, opacity: 1 });
    const handle = square.handle({
      label: "where the ball starts", colour: "blue", moves: { across: "q_1", up: "q_2" }, cursor: "move",
      drag: (x, y) => ({ q_1: x, q_2: y, steps: 0 }),
    });
    square.hover((q1, q2) =>
      q1 > 0 && q1 < 1 && q2 > 0 && q2 < 1
        ? `q₁ ${fixed(q1, 2)}, q₂ ${fixed(q2, 2)}: wake ${fixed(wake([q1, q2]))}, sleep ${fixed(sleep([q1, q2]))} nats`
        : "");
    const columns = states.map((name, k) => {
      bars.text({ dy: 15, size: 11 })(name, k, 0);
      return [bars.bar({ colour: "grey" }), bars.bar({ colour: "blue" })];
    });
    stage.legend(
      ["q", "blue", "dot"], ["posterior", "grey", "area"], ["wake, KL(q‖p)", "orange"], ["sleep, KL(p‖q)", "purple"],
      ["the way ahead", "ink", "dashed"],
    );
    return (now, { surface, phase, steps }) => {
      const name = surface.split(":")[0];
      if (name !== shownSurface) for (const each of surfaces) each.show(each.name === name);
      shownSurface = name;
      const along = (k) => now.way.filter((_, i) => i % 2 === k);
      for (const { name: each, draw, curve, end } of ways) {
        if (each === phase) draw(along(0), along(1));
        else draw([], []);
        curve(Array.from({ length: steps + 1 }, (_, i) => i), now[each].slice(0, steps + 1));
        end([steps], [now[each][steps]]);
      }
      columns.forEach(([posterior, q], k) => {
        posterior(k - 0.4, k - 0.02, 0, now.p[k]);
        q(k + 0.02, k + 0.4, 0, now.q[k]);
      });
      ball([now.ball[0]], [now.ball[1]]);
      handle(now.way[0], now.way[1]);
    };
  },

  buttons(stage, { log_posterior: logP, descent }) {
    const { gradient } = losses(logP);
    for (const phase of Object.keys(COLOURS)) {
      stage.button(phase === "wake" ? "Wake" : "Sleep", () => {
        // From where the ball lies now.
        const { q_1: q1, q_2: q2, phase: before, steps } = stage.values;
        const [one, two] = walk(gradient[before], [q1, q2], descent)[steps];
        stage.pause();
        stage.set({ q_1: one, q_2: two, phase, steps: 0 });
        let due = 0;
        stage.play((seconds) => {
          due += STEPS_A_SECOND * seconds;
          const whole = Math.floor(due);
          due -= whole;
          const next = Math.min(descent[0], stage.values.steps + whole);
          if (whole) stage.set({ steps: next });
          return next < descent[0];
        });
      });
    }
  },

  readout(now, { phase, steps }) {
    const at = `(${fixed(now.ball[0], 3)}, ${fixed(now.ball[1], 3)})`;
    return [
      `q = ${at} after ${steps} ${phase} steps`,
      `wake loss KL(q‖p) ${fixed(now.wake[steps])} nats · sleep loss KL(p‖q) ${fixed(now.sleep[steps])} nats`,
    ];
  },
};
