// Lesson 10: a run with a mistake beside the right one. The runs come from Python as arrays; here only the ends of the
// axes are computed. vaelib/widgets/wrong_loss_lab.py holds the same.

import { fixed } from "../engine/elements.js";
import { linspace, sum, unpacked } from "../engine/maths.js";

const TURN = linspace(0, 2 * Math.PI, 100);
const SIDES = ["wrong", "right"];
const COLOURS = { wrong: "vermillion", right: "blue" };
const GAP = 127; // the grey between images, plain in light and dark

/** The ends of an axis that holds all values. */
function padded(values, share = 0.06) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = share * (high - low) || Math.max(1, 0.1 * Math.abs(high));
  return [low - margin, high + margin];
}

/** Three rows of images as one: width, height and the grey of each pixel. */
function tiled(rows) {
  const [count, height, width] = rows[0].shape;
  const across = count * (width + 1) - 1;
  const greyAt = (at) => {
    const [y, x] = [Math.floor(at / across), at % across];
    const [j, i] = [y % (height + 1), x % (width + 1)];
    if (j === height || i === width) return GAP;
    return rows[Math.floor(y / (height + 1))][(Math.floor(x / (width + 1)) * height + j) * width + i];
  };
  return { width: across, height: rows.length * (height + 1) - 1, greyAt };
}

const inNats = (x) => (Math.abs(x) < 1e4 ? fixed(x, Math.abs(x) < 100 ? 2 : 1) : `${fixed(x / 1000, 0)}k`);

export default {
  prepare(data) {
    const arrays = data.arrays.map(unpacked);
    const runs = data.runs.map((run) => {
      const codes = arrays[run.codes];
      const [count, dims] = codes.shape;
      const [x, y] = [0, 1].map((axis) => Float64Array.from({ length: count }, (_, n) => codes[dims * n + axis]));
      const largest = codes.reduce((most, z) => Math.max(most, Math.abs(z)), 0);
      const spread = Math.sqrt(sum(Float64Array.from(codes, (z) => z * z)) / codes.length);
      const [labels, images] = [arrays[run.labels], run.images.map((place) => arrays[place])];
      return { ...run, x, y, reach: Math.max(3.5, 1.1 * largest), spread, labels, images };
    });
    const epochs = Math.max(2, ...runs.map((run) => run.loss.length));
    return { ...data, runs, epochs, of: (mistake) => data.pairs[mistake].slice(0, 2).map((place) => runs[place]) };
  },

  numbers({ pairs, of }, { mistake, epoch, zoom }) {
    const runs = of(mistake);
    const at = runs.map((run) => Math.min(epoch, run.loss.length));
    const numbers = { notice: pairs[mistake][2], epoch: at };
    for (const name of ["reconstruction", "kl", "loss"]) {
      numbers[`${name}_at`] = runs.map((run, k) => run[name][at[k] - 1]);
    }
    for (const name of ["reconstruction", "kl"]) {
      runs.forEach((run, k) => (numbers[`${name}_${SIDES[k]}`] = run[name]));
      numbers[`${name}_range`] = padded(zoom ? runs[0][name] : [...runs[0][name], ...runs[1][name]]);
    }
    for (const name of ["reported", "worth", "active", "spread", "reach"]) numbers[name] = runs.map((run) => run[name]);
    numbers.worth_range = padded([...numbers.reported, ...numbers.worth], 0.2);
    return numbers;
  },

  draw(stage, ready) {
    const { epochs, rows, colours } = ready;
    const every = Math.ceil(epochs / 8);
    const xTicks = Array.from({ length: epochs }, (_, k) => k + 1).filter((k) => (k - 1) % every === 0);
    const small = { least: 230, height: 210 };
    const curve = { ...small, x: [1 - 0.04 * epochs, epochs * 1.04], y: [0, 1], xLabel: "epoch", xTicks, roomLeft: 10 };
    const shape = tiled(ready.runs[0].images);
    const images = {
      x: [0, 1], y: [0, 3], xTicks: 0, yTicks: [0.5, 1.5, 2.5], yNames: { 0.5: rows[2], 1.5: rows[1], 2.5: rows[0] },
      share: 2.2, least: 300, roomLeft: 16,
      height: (width) => Math.round(((width - 80) * shape.height) / shape.width) + 24,
    };
    const plane = { ...small, x: [-1, 1], y: [-1, 1], equal: true, xLabel: "z₁", yLabel: "z₂", xTicks: 4, height: 240 };
    const [reconstruction, kl, worth, ...more] = stage.plots(
      { ...curve, title: "reported reconstruction, nats", alt: "Held-out reconstruction by epoch, of both runs." },
      { ...curve, title: "reported KL, nats", alt: "Held-out KL over the epochs, of both runs." },
      {
        ...small, x: [0, 1], y: [-0.6, 1.6], yTicks: [0, 1], yNames: ["right", "wrong"], xTicks: 3, xLabel: "nats",
        title: "reported | → worth",
        alt: "What the loss reports of each run, and an arrow to what its networks are worth.",
      },
      ...SIDES.flatMap((side) => [
        { ...images, title: `${side}: images`, alt: `Test images, their copies and new images of the ${side} run.` },
        { ...plane, title: `${side}: codes`, alt: `Codes of test images of the ${side} run.` },
      ]),
    );
    const curves = { reconstruction, kl };
    const lines = Object.fromEntries(Object.entries(curves).map(([name, plot]) => [name, SIDES.map((side) => ({
      line: plot.curve({ colour: COLOURS[side], dash: side === "wrong" ? "6 4" : "" }),
      marker: side === "wrong"
        ? plot.handle({
          label: `epoch, on the curve of ${name === "kl" ? "the KL" : "the reconstruction"}`, colour: COLOURS[side],
          moves: { across: "epoch" }, cursor: "ew-resize", drag: (x) => ({ epoch: Math.round(x) }), radius: 6,
        })
        : plot.dots({ colour: COLOURS[side], radius: 6, opacity: 1 }),
    }))]));
    let shown = null;
    for (const [name, plot] of Object.entries(curves)) {
      plot.hover((x) => {
        const runs = ready.of(stage.values.mistake);
        const epoch = Math.min(epochs, Math.max(1, Math.round(x)));
        const value = (run) => (epoch <= run.loss.length ? inNats(run[name][epoch - 1]) : "stopped before");
        const texts = runs.map((run, k) => `${SIDES[k]} ${value(run)}`);
        return `epoch ${epoch}: ${name === "kl" ? "KL" : name} ${texts.join(", ")} nats`;
      });
    }
    const arrows = SIDES.map((side, k) => ({
      start: worth.curve({ colour: COLOURS[side], width: 3 }),
      arrow: worth.arrow({ colour: COLOURS[side] }),
      below: worth.text({ dy: 22, size: 11 }),
      above: worth.text({ dy: -14, size: 11 }),
      y: 1 - k,
    }));
    const pictures = [more[0], more[2]].map((plot) => plot.image({ width: shape.width, height: shape.height }));
    const planes = [more[1], more[3]].map((plot, k) => {
      plot.hover((x, y) => {
        const run = ready.of(stage.values.mistake)[k];
        let [best, nearest] = [Infinity, 0];
        run.x.forEach((z, n) => {
          const distance = (z - x) ** 2 + (run.y[n] - y) ** 2;
          if (distance < best) [best, nearest] = [distance, n];
        });
        return `nearest code: a ${run.labels[nearest]} at (${fixed(run.x[nearest], 2)}, ${fixed(run.y[nearest], 2)})`;
      }, { plane: true });
      const dots = colours.map((colour) => plot.dots({ colour, radius: 1.6, opacity: 0.9 }));
      return { plot, circle: plot.curve({ colour: "grey", width: 1.2 }), dots };
    });
    stage.legend(
      ["wrong", "vermillion", "dashed"], ["right", "blue"], ["two standard deviations of the prior", "grey"],
      ...colours.map((colour, k) => [String(k), colour, "dot"]),
    );
    return (now, { mistake }) => {
      for (const [name, plot] of Object.entries(curves)) {
        plot.rangeY(...now[`${name}_range`]);
        SIDES.forEach((side, k) => {
          const ys = now[`${name}_${side}`];
          lines[name][k].line(ys.map((_, i) => i + 1), ys);
          const [x, y] = [now.epoch[k], now[`${name}_at`][k]];
          if (side === "wrong") lines[name][k].marker(x, y);
          else lines[name][k].marker([x], [y]);
        });
      }
      if (shown === mistake) return; // the rest does not know the epoch
      shown = mistake;
      const [low, high] = now.worth_range;
      worth.rangeX(low, high);
      arrows.forEach(({ start, arrow, below, above, y }, k) => {
        const [from, to] = [now.reported[k], now.worth[k]];
        start([from, from], [y - 0.16, y + 0.16]);
        if (Math.abs(to - from) > 0.03 * (high - low)) arrow(from, y, to, y);
        else arrow(from, y, from, y);
        above(inNats(from), from, y);
        below(inNats(to), to, y);
      });
      ready.of(mistake).forEach((run, k) => {
        pictures[k]([0, 1], [0, 3], tiled(run.images).greyAt);
        const { plot, circle, dots } = planes[k];
        plot.rangeX(-run.reach, run.reach);
        plot.rangeY(-run.reach, run.reach);
        circle(TURN.map((t) => 2 * Math.cos(t)), TURN.map((t) => 2 * Math.sin(t)));
        dots.forEach((draw, label) => {
          const mine = (zs) => zs.filter((_, n) => run.labels[n] % 10 === label);
          draw(mine(run.x), mine(run.y));
        });
      });
    };
  },

  readout(now) {
    const side = (k) =>
      `${SIDES[k]}: the loss reports ${inNats(now.reported[k])} nats, in right parts its networks are worth ` +
      `${inNats(now.worth[k])}; active units ${now.active[k]}; codes, root mean square ${inNats(now.spread[k])}`;
    const at = (k) =>
      `${SIDES[k]} ${inNats(now.reconstruction_at[k])} + ${inNats(now.kl_at[k])} nats after epoch ${now.epoch[k]}`;
    return [side(0), side(1), `reconstruction + KL: ${at(0)}, ${at(1)}`, `How to notice: ${now.notice}`];
  },
};
