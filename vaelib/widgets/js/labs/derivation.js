// Lesson 02: the derivation of the ELBO, line by line, as bars that slide. vaelib/widgets/derivation_lab.py holds the same.

import { fixed, html, paint } from "../engine/elements.js";
import { LOG_2PI, klStandardNormal, linspace, logNormal } from "../engine/maths.js";
import { toyModel } from "./toy_models.js";

const SECONDS = 0.8; // that a step takes to slide
const ROWS = 4;

/** A line's bars, head to tail on each side: {term, sign, row, from, to}; row 0 is the left side. */
function barsOf({ left, right }, values) {
  const bars = left.map(([term, sign]) => ({ term, sign, row: 0, from: 0, to: sign * values[term] }));
  let at = 0;
  right.forEach(([term, sign], i) => {
    bars.push({ term, sign, row: i + 1, from: at, to: at + sign * values[term] });
    at += sign * values[term];
  });
  return bars;
}

/** The line as symbols with their values: [text, value or undefined, colour]. */
function equation({ left, right }, terms, now, isBound) {
  const piece = ([term, sign], i) => [
    ...(sign < 0 ? [["−"]] : i > 0 ? [["+"]] : []), [terms[term].symbol, now[term], terms[term].colour],
  ];
  return [...left.flatMap(piece), [isBound ? "≥" : "="], ...(isBound ? right.slice(0, -1) : right).flatMap(piece)];
}

/** "E_q[…]" with its index set low. */
function symbol(parent, text) {
  const [before, after] = text.split("E_q");
  parent.append(before);
  if (after === undefined) return;
  parent.append("E");
  html(parent, "sub", { text: "q" });
  parent.append(after);
}

const mix = (a, b, share) => a + share * (b - a);

export default {
  prepare(data) {
    const model = toyModel(data.model, data.x);
    const z = linspace(data.z[0], data.z[1], data.z[2]);
    const posterior = z.map((at) => Math.exp(model.logPosterior(at)));
    return { ...data, model, z, posterior, height: Math.max(...posterior) };
  },

  numbers({ model, lines }, { line, mu, sigma }) {
    const logVar = 2 * Math.log(sigma);
    const reconstruction = model.expectedLogLikelihood(mu, logVar);
    const kl = klStandardNormal(mu, logVar);
    const logJoint = reconstruction - 0.5 * (LOG_2PI + mu * mu + sigma * sigma);
    const values = {
      log_evidence: model.logEvidence, elbo: reconstruction - kl, gap: model.gap(mu, logVar), reconstruction, kl,
      mean_evidence: model.logEvidence, log_q: -0.5 * (LOG_2PI + 1 + logVar), log_joint: logJoint, log_posterior: logJoint - model.logEvidence,
    };
    const bars = barsOf(lines[line - 1], values);
    return { ...values, from: bars.map(({ from }) => from), to: bars.map(({ to }) => to) };
  },

  buttons(stage, { lines }) {
    const go = (by) => () => {
      const { line } = stage.values;
      stage.set({ line: by > 0 && line === lines.length ? 1 : line + by });
    };
    stage.button("Next line", go(1));
    stage.button("Line before", go(-1));
  },

  draw(stage, { model, z, posterior, height, reach, terms, lines, bound, into }) {
    const [density] = stage.plots({
      height: 190, x: [z[0], z.at(-1)], y: [0, 1.6 * height], xLabel: "z", yLabel: "density",
      alt: "The posterior and q over z.", title: "drag q: its peak is μ, its flank σ",
    });
    const heading = html(stage.picture, "div", { class: "title" });
    const formula = html(stage.picture, "div", { class: "equation" });
    const [plot] = stage.plots({
      height: 210, x: reach, y: [ROWS - 0.45, -0.55], xLabel: "nats", yTicks: 0,
      alt: "The terms of the line as bars, head to tail: left side above, right side below.",
    });
    density.curve({ colour: "green" })(z, posterior);
    const curve = density.curve({ colour: "blue" });
    const area = density.area({ colour: "blue" });
    const peak = density.handle({
      label: "the peak of q: its mean", colour: "blue", moves: { across: "mu" }, cursor: "ew-resize", drag: (x) => ({ mu: x }),
    });
    const flank = density.handle({
      label: "the flank of q: its width", colour: "blue", moves: { across: "sigma" }, cursor: "ew-resize",
      drag: (x) => ({ sigma: x - stage.values.mu }),
    });
    const ends = plot.rule({ colour: "ink", dash: "3 3" });
    const zero = plot.rule({ colour: "line", width: 1 });
    zero(0);
    const drawn = Object.fromEntries(Object.entries(terms).map(([term, { colour }]) => [term, {
      bar: plot.bar({ colour }), text: plot.text({ dy: 4 }),
    }]));
    stage.legend(["posterior p(z|x)", "green"], ["q(z|x)", "blue"]);

    // Each term's place now: row, from, to, how visible. A step slides from the places shown to those of the new line.
    let shown = null;
    let before = null;
    let share = 1;
    let lastLine = null;
    const signs = {};
    const hush = window.matchMedia("(prefers-reduced-motion: reduce)").matches;

    function targets(now, line) {
      const places = {};
      for (const { term, sign, row, from, to } of barsOf(lines[line - 1], now)) {
        places[term] = [row, from, to, 1];
        signs[term] = sign < 0 ? "−" : "";
      }
      for (const term of Object.keys(terms)) {
        if (term in places) continue;
        const home = places[into[term]] || (share < 1 && shown[term]) || [0, 0, 0, 0];
        places[term] = [...home.slice(0, 3), 0];
      }
      return places;
    }

    return (now, values) => {
      const density_ = z.map((at) => Math.exp(logNormal(at, values.mu, 2 * Math.log(values.sigma))));
      curve(z, density_);
      area(z, density_);
      const top = 1 / Math.sqrt(2 * Math.PI) / values.sigma;
      peak(values.mu, top);
      flank(values.mu + values.sigma, top * Math.exp(-0.5));

      const line = lines[values.line - 1];
      if (lastLine !== null && lastLine !== values.line && !hush) {
        before = shown;
        share = 0;
        stage.play((seconds) => (share = Math.min(1, share + seconds / SECONDS)) < 1);
      }
      if (lastLine !== values.line) heading.textContent = line.text;
      lastLine = values.line;
      const goal = targets(now, values.line);
      const eased = share * share * (3 - 2 * share);
      shown = Object.fromEntries(Object.entries(goal).map(([term, place]) => {
        const start = before?.[term] ?? place;
        // What comes in new does not fly in from nowhere.
        const from = start[3] === 0 ? [...place.slice(0, 3), 0] : start;
        return [term, place.map((to, i) => mix(from[i], to, eased))];
      }));
      for (const [term, { bar, text }] of Object.entries(drawn)) {
        const [row, from, to, visible] = shown[term];
        bar(from, to, row - 0.32, row + 0.32);
        bar.node.setAttribute("fill-opacity", visible);
        // The name stands in its bar where there is room, else beside it, within the picture.
        const { symbol: plain, colour } = terms[term];
        const name = (visible ? signs[term] ?? "" : "") + plain.replace("E_q", "E");
        const length = Math.abs(plot.x(to) - plot.x(from));
        const inside = length > 8 * name.length;
        const leftwards = plot.x(Math.max(from, to)) + 8 * name.length > plot.box.right;
        text.place(inside ? { anchor: "middle", dx: 0 } : leftwards ? { anchor: "end", dx: -6 } : { anchor: "start", dx: 6 });
        text(visible ? name : "", inside ? (from + to) / 2 : leftwards ? Math.min(from, to) : Math.max(from, to), row);
        const pale = ["orange", "sky", "purple"].includes(colour);
        text.node.setAttribute("fill", paint(inside ? (pale ? "#111111" : "paper") : "ink"));
        text.node.setAttribute("fill-opacity", visible);
      }
      ends(goal[line.left.at(-1)[0]][2]);
      formula.replaceChildren(...equation(line, terms, now, values.line === bound).map(([text, value, colour]) => {
        const piece = html(null, "span", { class: "piece" });
        symbol(html(piece, "span", { style: colour ? `border-bottom: 3px solid ${paint(colour)}` : "" }), text);
        html(piece, "span", { class: "value", text: value === undefined ? "" : fixed(value) });
        return piece;
      }));
    };
  },

  readout: (now) => [
    `log p(x) ${fixed(now.log_evidence)} = ELBO ${fixed(now.elbo)} + KL(q‖p(z|x)) ${fixed(now.gap)} nats`,
  ],
};
