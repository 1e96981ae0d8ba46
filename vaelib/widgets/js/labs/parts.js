// Lesson 08: a VAE with five sockets; what one swapped part does to the ELBO and to log p(x), seed by seed. The runs come
// from Python as numbers. vaelib/widgets/parts_lab.py holds the same.

import { fixed, html, signed } from "../engine/elements.js";
import { sum } from "../engine/maths.js";

const SCORES = ["elbo", "log_p"];
const TITLES = { elbo: "ELBO, less that of the base", log_p: "log p(x), less that of the base" };
const ROW = 24; // height of a row of the forest plot, CSS pixels
const NAME = 6.6; // width of a letter of its names

const mean = (values) => sum(values) / values.length;

/** The paired differences to the base by seed, their mean, and half a 95 % t interval of it. */
function difference(values, base, t) {
  const each = values.map((value, i) => value - base[i]);
  const middle = mean(each);
  const variance = sum(each.map((d) => (d - middle) ** 2)) / (each.length - 1);
  return { each, mean: middle, half: t * Math.sqrt(variance / each.length) };
}

/** The rows that the picture shows, from above: the base, then the others of the chosen socket, or of all. */
function shownRows({ rows, bases }, { part, all }) {
  const chosen = rows.find(({ name }) => name === part);
  const base = chosen.grey ? bases.grey : bases.ink;
  const everything = !chosen.grey && (all || chosen.name === base);
  const fits = (row) => row.grey === chosen.grey && (everything || row.socket === chosen.socket);
  return [rows.find(({ name }) => name === base), ...rows.filter((row) => row.name !== base && fits(row))];
}

/** What a click on a socket leads to: its next part, and after the last one the base. */
function nextPart({ rows, bases }, socket, now) {
  const names = [bases.ink, ...rows.filter((row) => row.socket === socket).map(({ name }) => name)];
  return names[(Math.max(0, names.indexOf(now)) + 1) % names.length]; // a part of another socket: the first
}

/** Make plots in another element than the end of the picture. */
function within(stage, element, options) {
  const { picture } = stage;
  stage.picture = element;
  const plots = stage.plots(...options);
  stage.picture = picture;
  return plots;
}

const interval = ({ mean, half }) => `${signed(mean, 1)} nats, interval ${signed(mean - half, 1)} to ${signed(mean + half, 1)}`;

export default {
  numbers({ rows, bases, t }, values) {
    const shown = shownRows({ rows, bases }, values);
    const [base, ...others] = shown;
    const numbers = { names: shown.map(({ name }) => name) };
    let [low, high] = [0, 0];
    for (const score of SCORES) {
      const middle = mean(base[score]);
      const found = others.map((row) => difference(row[score], base[score], t));
      numbers[`${score}_each`] = [...base[score].map((value) => value - middle), ...found.flatMap(({ each }) => each)];
      numbers[`${score}_mean`] = found.map((d) => d.mean);
      numbers[`${score}_half`] = found.map((d) => d.half);
      const ends = found.flatMap((d) => [d.mean - d.half, d.mean + d.half]);
      low = Math.min(low, ...numbers[`${score}_each`], ...ends);
      high = Math.max(high, ...numbers[`${score}_each`], ...ends);
    }
    const margin = 0.06 * (high - low);
    const gap = (row) => mean(row.log_p) - mean(row.elbo);
    const chosen = rows.find(({ name }) => name === values.part);
    return { ...numbers, range: [low - margin, high + margin], gap: [gap(base), gap(chosen)] };
  },

  draw(stage, ready) {
    const { rows, sockets, bases } = ready;
    const of = (name) => rows.find((row) => row.name === name);
    const board = html(stage.picture, "div", { class: "sockets", role: "group", "aria-label": "the five sockets" });
    const buttons = sockets.map(({ name, base }) => {
      const button = html(board, "button", { type: "button", class: "socket" });
      html(button, "span", { class: "role", text: name });
      const part = html(button, "span", { class: "part" });
      stage.onPicture(button, "click", () => stage.set({ part: nextPart(ready, name, stage.values.part) }));
      return { name, base, button, part };
    });
    const code = html(stage.picture, "div", { class: "change" });
    const lines = ["before", "after"].map((kind) => html(code, "div", { class: kind }));

    const longest = Math.max(...rows.map(({ name }) => name.length));
    let shown = null;
    let [plots, marks] = [[], []];
    const forest = html(stage.picture, "div");
    const pictures = html(stage.picture, "div");

    /** The forest plot has as many rows as there are models to show: it is built anew when these change. */
    const rebuild = (now) => {
      forest.replaceChildren();
      const count = now.names.length;
      const places = now.names.map((_, i) => count - 1 - i);
      const yNames = Object.fromEntries(now.names.map((name, i) => [places[i], name]));
      plots = within(stage, forest, SCORES.map((score) => ({
        least: 340, height: 60 + ROW * count, x: now.range, y: [-0.6, count - 0.4], yTicks: places, yNames,
        roomLeft: NAME * longest - 40, xLabel: "nats per digit", title: TITLES[score], alt: `Forest plot: ${TITLES[score]}.`,
      })));
      marks = plots.map((plot) => {
        const zero = plot.rule({ colour: "line", width: 1.5 });
        const rowsOf = now.names.map(() => ({
          dots: plot.dots({ colour: "grey", radius: 3 }),
          line: plot.curve({ colour: "blue", width: 2.5 }),
          middle: plot.dots({ colour: "blue", radius: 5, opacity: 1 }),
          chosenLine: plot.curve({ colour: "vermillion", width: 3.5 }),
          chosenMiddle: plot.dots({ colour: "vermillion", radius: 6, opacity: 1 }),
        }));
        plot.node.style.cursor = "pointer";
        stage.onPicture(plot.node, "click", (event) => {
          const from = plot.node.getBoundingClientRect();
          const name = now.names[count - 1 - Math.round(plot.y.invert(event.clientY - from.top))];
          if (name !== undefined) stage.set({ part: name === bases.grey ? bases.ink : name });
        });
        return { zero, rowsOf };
      });
    };

    // The images of the base above those of the part.
    const [images] = within(stage, pictures, [{
      x: [0, 1], y: [0, 2], xTicks: 0, yTicks: [0.5, 1.5], yNames: { 0.5: "this part", 1.5: "base" }, roomLeft: 12,
      height: (width) => Math.round((width - 84) / 4) + 24, alt: "New images from the base and from this model.",
      title: "new images, from codes drawn from the prior",
    }]);
    const strips = [0, 1].map(() => images.imageFile());
    stage.legend(["one seed", "grey", "dot"], ["mean of the seeds, 95 % t interval", "blue"], ["the part in the socket", "vermillion"]);

    return (now, { part }) => {
      const chosen = of(part);
      for (const { name, base, button, part: text } of buttons) {
        const swapped = name === chosen.socket;
        text.textContent = swapped ? part : base;
        button.setAttribute("aria-pressed", String(swapped));
        const next = nextPart(ready, name, part);
        button.setAttribute("aria-description", `a socket; a click puts in ${next}`); // its name is what it shows
      }
      lines[0].textContent = chosen.code[0] ? `− ${chosen.code[0]}` : "the base: nothing is swapped";
      lines[1].textContent = chosen.code[1] ? `+ ${chosen.code[1]}` : "";
      if (shown !== now.names.join()) {
        shown = now.names.join();
        rebuild(now);
      }
      SCORES.forEach((score, k) => {
        const { zero, rowsOf } = marks[k];
        plots[k].rangeX(...now.range);
        zero(0);
        const seeds = now[`${score}_each`].length / now.names.length;
        rowsOf.forEach((row, i) => {
          const y = now.names.length - 1 - i;
          const each = now[`${score}_each`].slice(seeds * i, seeds * (i + 1));
          row.dots(each, each.map(() => y + (i === 0 ? 0 : 0.22))); // above the interval, not below it
          if (i === 0) return; // the base has no difference to itself
          const [at, half] = [now[`${score}_mean`][i - 1], now[`${score}_half`][i - 1]];
          const mine = now.names[i] === part;
          const [ends, low] = [[at - half, at + half], y - 0.14];
          row.line(mine ? [] : ends, mine ? [] : [low, low]);
          row.middle(mine ? [] : [at], [low]);
          row.chosenLine(mine ? ends : [], mine ? [low, low] : []);
          row.chosenMiddle(mine ? [at] : [], [low]);
        });
      });
      const base = of(chosen.grey ? bases.grey : bases.ink);
      [chosen, base].forEach(({ samples }, k) => strips[k](`data:image/png;base64,${samples}`, [0, 1], [k + 0.04, k + 0.96]));
    };
  },

  readout(now, { part }, memory, { rows, bases }) {
    const chosen = rows.find(({ name }) => name === part);
    const base = rows.find(({ name }) => name === (chosen.grey ? bases.grey : bases.ink));
    const seeds = base.elbo.length;
    const gaps = `log p(x) lies ${fixed(now.gap[1], 1)} nats above the ELBO`;
    if (chosen === base) {
      const [elbo, logP] = SCORES.map((score) => fixed(mean(base[score]), 1));
      return [`base: ELBO ${elbo}, log p(x) ${logP} nats per digit, means of ${seeds} seeds; ${gaps}`];
    }
    const i = now.names.indexOf(part) - 1;
    const told = SCORES.map((score) => {
      const d = { mean: now[`${score}_mean`][i], half: now[`${score}_half`][i] };
      const open = Math.abs(d.mean) < d.half ? ": it holds 0, so these seeds leave the sign open" : "";
      return `${score === "elbo" ? "ELBO" : "log p(x)"} ${interval(d)}${open}`;
    });
    const reference = chosen.grey ? "Against the base on grey pixels, read as a density" : "Against the base";
    return [
      `${part}. ${reference}: ${told[0]}`, told[1],
      `${gaps}, with the base ${fixed(now.gap[0], 1)}; ${chosen.weights.toLocaleString("en")} weights, of the base ${base.weights.toLocaleString("en")}`,
    ];
  },
};
