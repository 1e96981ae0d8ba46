// Lesson 04: a target p with two modes, a Gaussian q, and where each divergence collects its nats.
// vaelib/widgets/kl_lab.py holds the same.

import { fixed } from "../engine/elements.js";
import { linspace } from "../engine/maths.js";
import { descent, forwardKl, integrands, mixture, reverseKl } from "./divergences.js";

const PEAK = 1 / Math.sqrt(2 * Math.PI); // of a normal density with standard deviation 1
const LOWEST = -0.3; // neither integrand falls below it: p log p/q ≥ −q/e, and q's peak is at most 0.8
const SPEED = 1.5; // of a descent, units of (mu, log sigma) per second

const FORWARD = { name: "forward", title: "KL(p‖q)", colour: "purple", goal: "the mean and the variance of p" };
const REVERSE = { name: "reverse", title: "KL(q‖p)", colour: "vermillion", goal: "the bottom of this valley" };

const targetOf = ({ left, right, weight }) => mixture([1 - weight, weight], [left, right], [1, 1]);

/** The smallest of 1, 2, 3, 4, 6, 8, 10, 20, ... times unit that is at least value. */
function roundTop(value, unit) {
  const decade = unit * 10 ** Math.max(0, Math.floor(Math.log10(value / unit)));
  return [1, 2, 3, 4, 6, 8, 10].map((k) => k * decade).find((top) => top >= value) ?? 10 * decade;
}

/** The integral of a curve as far as the picture shows it. */
const areaUnder = (xs, ys) =>
  ys.reduce((total, y, i) => (i === 0 ? 0 : total + 0.5 * (xs[i] - xs[i - 1]) * (y + ys[i - 1])), 0);

export default {
  prepare: ({ x: [low, high, count] }) => ({ x: linspace(low, high, count) }),

  numbers({ x }, { left, right, weight, mu, sigma }) {
    const target = targetOf({ left, right, weight });
    const at = Array.from(x, (place) => integrands(target, mu, sigma, place));
    const [forward, reverse] = [at.map((each) => each.forward), at.map((each) => each.reverse)];
    return {
      forward: forwardKl(target, mu, sigma),
      reverse: reverseKl(target, mu, sigma),
      p: at.map((each) => Math.exp(each.logP)),
      q: at.map((each) => Math.exp(each.logQ)),
      forward_integrand: forward,
      reverse_integrand: reverse,
      forward_area: areaUnder(x, forward),
      reverse_area: areaUnder(x, reverse),
    };
  },

  /** Where q goes by gradient flow from these values: places [mu, sigma]. */
  descent: (name, values) => descent(name, targetOf(values), values.mu, values.sigma),

  begin(memory) {
    memory.way = null; // the descent that q is on, or has ended
  },

  buttons(stage) {
    const { memory } = stage;
    for (const divergence of [FORWARD, REVERSE]) {
      const text = `Let q descend ${divergence.title}`;
      const button = stage.button(text, () => {
        const mine = stage.plays && memory.way.divergence === divergence;
        stage.pause();
        if (mine) return;
        const way = wayDown(divergence, stage.values);
        memory.way = way;
        stage.play((seconds) => {
          if (!same(way.values, stage.values)) return false; // the reader has taken hold of something
          const [mu, sigma] = way.after(seconds);
          stage.set({ mu, sigma });
          way.values = stage.values;
          return !way.done;
        });
        stage.plays.stopped = () => {
          button.textContent = text;
          stage.schedule(); // a screen reader hears where q stands once it rests
        };
        button.textContent = `Stop descending ${divergence.title}`;
      });
    }
  },

  draw(stage, { x }) {
    const bars = { height: 230, xTicks: [0, 1], xNames: ["p‖q", "q‖p"], x: [-0.6, 1.6] };
    const [density, whole, zoom] = stage.plots(
      {
        share: 2.1, least: 330, height: 230, x: [x[0], x.at(-1)], y: [0, 0.45], xLabel: "x", yLabel: "density",
        alt: "The target p with two modes, and q.", title: "drag p's two peaks, q's peak (μ) and flank (σ)",
      },
      { ...bars, share: 0.9, least: 170, y: [0, 1], alt: "The two divergences as bars.", title: "both KL, in nats" },
      { ...bars, share: 0.9, least: 170, y: [0, 1], alt: "The same bars, cut off at 1 nat.", title: "their first nat" },
    );
    const panels = stage.plots(...[["p log p/q", FORWARD], ["q log q/p", REVERSE]].map(([name, { title }]) => ({
      least: 330, height: 200, x: [x[0], x.at(-1)], y: [LOWEST, 1], xLabel: "x", yLabel: "nats per unit of x",
      alt: `${name} over x.`, title: `${name}: its area, with its sign, is ${title}`,
    })));

    const goal = density.curve({ colour: "grey", dash: "6 4" });
    const qArea = density.area({ colour: "blue" });
    const pCurve = density.curve({ colour: "black" });
    const qCurve = density.curve({ colour: "blue" });
    const areas = [FORWARD, REVERSE].map(({ colour }, i) => [
      panels[i].rule({ colour: "line", axis: "y", width: 1 }),
      panels[i].area({ colour, opacity: 0.4 }),
      panels[i].curve({ colour }),
    ]);
    const heights = [whole, zoom].map((plot) => [FORWARD, REVERSE].map(({ colour }) => plot.bar({ colour })));
    const counts = [FORWARD, REVERSE].map(() => whole.text({ dy: -5 }));

    // The height of p at a mode gives the weight: p(right) = PEAK (weight + (1 − weight) overlap), and so on the left.
    const overlap = () => Math.exp(-0.5 * (stage.values.right - stage.values.left) ** 2);
    const mode = (side, other) => density.handle({
      label: `the ${side} peak of p: its place and its weight`, colour: "black", radius: 6, cursor: "move",
      moves: { across: side, up: "weight" }, turned: side === "left" ? ["weight"] : [],
      drag(at, height) {
        const share = (height / PEAK - overlap()) / (1 - overlap()); // not finite where the modes are one
        return { [side]: at, weight: other ? 1 - share : share };
      },
    });
    const [left, right] = [mode("left", true), mode("right", false)];
    const peak = density.handle({
      label: "the peak of q: its mean", colour: "blue", moves: { across: "mu" }, cursor: "ew-resize",
      drag: (at) => ({ mu: at }),
    });
    const flank = density.handle({
      label: "the flank of q: its width", colour: "blue", moves: { across: "sigma" }, cursor: "ew-resize",
      drag: (at) => ({ sigma: at - stage.values.mu }),
    });

    const tell = (at) => {
      const { mu, sigma } = stage.values;
      const { logP, logQ, forward, reverse } = integrands(targetOf(stage.values), mu, sigma, at);
      return (
        `x ${fixed(at, 2)}: p ${fixed(Math.exp(logP))}, q ${fixed(Math.exp(logQ))}; p log p/q ${fixed(forward)}, ` +
        `q log q/p ${fixed(reverse)} nats per unit of x`
      );
    };
    for (const plot of [density, ...panels]) plot.hover(tell);
    stage.legend(
      ["target p", "black"], ["q", "blue"], ["KL(p‖q), forward", "purple", "area"],
      ["KL(q‖p), reverse", "vermillion", "area"],
      ["where a descent ends", "grey", "dashed"],
    );

    return (now, values) => {
      const height = PEAK / values.sigma;
      density.rangeY(0, height > 0.42 ? 0.85 : 0.45); // p alone needs no more than 0.4
      pCurve(x, now.p);
      qCurve(x, now.q);
      qArea(x, now.q);
      const way = followed(stage.memory, values);
      goal(x, way ? x.map((at) => way.density(at)) : []);
      // One scale for both areas, so that they can be compared; another one for the bars.
      const top = roundTop(Math.max(...now.forward_integrand, ...now.reverse_integrand), 0.2);
      [now.forward_integrand, now.reverse_integrand].forEach((ys, i) => {
        panels[i].rangeY(LOWEST, top);
        const [zero, area, curve] = areas[i];
        zero(0);
        area(x, ys);
        curve(x, ys);
      });
      const kls = [now.forward, now.reverse];
      whole.rangeY(0, roundTop(1.1 * Math.max(...kls), 1));
      for (const pair of heights) pair.forEach((bar, i) => bar(i - 0.32, i + 0.32, 0, Math.max(0, kls[i])));
      counts.forEach((count, i) => count(fixed(kls[i], 2), i, kls[i]));
      const common = overlap();
      left(values.left, PEAK * (1 - values.weight * (1 - common)));
      right(values.right, PEAK * (values.weight + (1 - values.weight) * common));
      peak(values.mu, height);
      flank(values.mu + values.sigma, height * Math.exp(-0.5));
    };
  },

  readout(now, values, memory) {
    const lines = [`KL(p‖q) ${fixed(now.forward)} nats (forward), KL(q‖p) ${fixed(now.reverse)} nats (reverse)`];
    const hidden = [[FORWARD, now.forward - now.forward_area], [REVERSE, now.reverse - now.reverse_area]];
    for (const [{ title }, nats] of hidden) {
      if (Math.abs(nats) > 0.005) lines.push(`${fixed(nats, 2)} of the nats of ${title} lie beyond the picture`);
    }
    const way = followed(memory, values);
    if (way?.done) {
      const { title, goal } = way.divergence;
      const [mu, sigma] = way.end;
      const place = `μ ${fixed(mu, 4)}, σ ${fixed(sigma, 4)}, ${fixed(way.kl, 4)} nats`;
      lines.push(`the descent on ${title} has ended at ${place}: ${goal}`);
    }
    return lines;
  },
};

const same = (one, other) => Object.keys(one).every((name) => one[name] === other[name]);

/** The descent that brought q to these values; none once the reader has moved anything. */
const followed = ({ way }, values) => (way && same(way.values, values) ? way : null);

/** A descent from these values, walked at an even pace. */
function wayDown(divergence, values) {
  const target = targetOf(values);
  const places = descent(divergence.name, target, values.mu, values.sigma);
  const end = places.at(-1);
  const lengths = [0];
  for (let i = 1; i < places.length; i++) {
    const [[mu0, sigma0], [mu1, sigma1]] = [places[i - 1], places[i]];
    lengths.push(lengths[i - 1] + Math.hypot(mu1 - mu0, Math.log(sigma1 / sigma0)));
  }
  const speed = matchMedia("(prefers-reduced-motion: reduce)").matches ? Infinity : SPEED;
  let walked = 0;
  let i = 0;
  return {
    divergence, values, end, done: false,
    kl: (divergence === FORWARD ? forwardKl : reverseKl)(target, ...end),
    density: (x) => (PEAK / end[1]) * Math.exp(-0.5 * ((x - end[0]) / end[1]) ** 2),
    after(seconds) {
      if (seconds > 0) walked += speed * seconds;
      while (i < places.length - 1 && lengths[i] < walked) i++;
      this.done = i === places.length - 1;
      return places[i];
    },
  };
}
