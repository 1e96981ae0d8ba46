// A training under a slider: for each run its latent plane and its manifold.

import "./latent_pad.css";
import "./epoch_scrubber.css";
import { keepKeys, namedTimers } from "../engine/elements.js";
import { copied } from "./network.js";
import {
  addButton, addLegend, coordinates, element, followTheme, lazySaver, pixelsPer, planeCanvas, planeGround, showPixels, SPEAK_AFTER,
} from "./plane.js";

const BETWEEN = 350; // milliseconds from one checkpoint to the next while it plays

/** The checkpoints of all runs: mu, log_var and the images, by run and number of the checkpoint. */
function checkpointsOf(model) {
  const spec = model.get("spec");
  const codes = new Float32Array(copied(model.get("codes")));
  const pixels = new Uint8Array(copied(model.get("images")));
  const size = spec.examples * spec.axes.length;
  const sheet = spec.per_side ** 2 * spec.height * spec.width * spec.channels;
  let [offset, first] = [0, 0];
  return spec.runs.map(({ name, epochs }) => {
    const count = epochs.length;
    const take = () => codes.subarray(offset, (offset += count * size));
    const [mu, logVar] = [take(), take()];
    const start = first;
    first += count * sheet;
    return {
      name,
      epochs,
      /** The number of the last checkpoint up to an epoch. */
      upTo: (epoch) => Math.max(0, epochs.findLastIndex((kept) => kept <= epoch)),
      mu: (i) => mu.subarray(i * size, (i + 1) * size),
      logVar: (i) => logVar.subarray(i * size, (i + 1) * size),
      images: (i) => pixels.subarray(start + i * sheet, start + (i + 1) * sheet),
    };
  });
}

/** What the codes of one checkpoint say in numbers: the mean KL to the prior, and how wide q and the codes are. */
function numbersOf(mu, logVar, examples) {
  const dims = mu.length / examples;
  let [kl, width] = [0, 0];
  for (let i = 0; i < mu.length; i++) {
    kl += 0.5 * (mu[i] ** 2 + Math.exp(logVar[i]) - 1 - logVar[i]);
    width += Math.exp(logVar[i] / 2);
  }
  let variance = 0;
  for (let k = 0; k < dims; k++) {
    const column = Array.from({ length: examples }, (_, i) => mu[i * dims + k]);
    const mean = column.reduce((a, b) => a + b) / examples;
    variance += column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / examples;
  }
  return { kl: kl / examples, width: width / mu.length, spread: Math.sqrt(variance / dims) };
}

function render({ model, el }) {
  const spec = model.get("spec");
  const runs = checkpointsOf(model);
  const kinds = new Uint8Array(copied(model.get("kinds")));
  const [across, up] = spec.shown;
  const dims = spec.axes.length;
  const closing = new AbortController();
  const on = (target, event, listener) => target.addEventListener(event, listener, { signal: closing.signal });
  const timers = namedTimers();
  const saver = lazySaver(model);

  // ---- The page's elements
  const root = element(el, "div", "vaelib-pad vaelib-scrubber", { role: "group", "aria-label": "Epoch scrubber" });
  keepKeys(on, root);
  const controls = element(root, "div", "controls");
  const playButton = addButton(controls, on, "Play the training", () => (playing ? stop() : start()));
  const slider = element(controls, "input", "", {
    type: "range", min: 0, max: spec.epochs.length - 1, step: 1, "aria-label": "Epoch",
  });
  const readout = element(controls, "span", "value", { "aria-hidden": "true" });
  const columns = element(root, "div", "columns");
  columns.style.setProperty("--runs", runs.length);
  const panels = runs.map(({ name }) => {
    const column = element(columns, "div", "column");
    element(column, "div", "title").textContent = name;
    const plane = planeCanvas(column, {});
    const side = (length) => spec.per_side * length;
    const sheet = element(column, "canvas", "sheet-of-images", {
      role: "img", width: side(spec.width), height: side(spec.height),
    });
    return { plane, sheet, text: element(column, "div", "numbers") };
  });
  addLegend(root, spec);
  const spoken = element(root, "div", "spoken", { "aria-live": "polite" });

  let frame = 0;
  let playing = null;
  let grounds = null;
  const schedule = () => {
    if (!frame) frame = requestAnimationFrame(draw);
  };
  const goTo = (at) => {
    model.set("at", at);
    saver.save();
  };

  // ---- Drawing
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function drawPlane(plane, ground, mu, logVar) {
    const pen = plane.getContext("2d");
    const ratio = pixelsPer(plane);
    const { toPlane, place } = coordinates(plane, spec, spec.reach);
    const at = (i) => place([mu[i * dims + across], up === undefined ? undefined : mu[i * dims + up]]);
    const colourOf = (i) => spec.colours[kinds[i] % spec.colours.length];
    pen.drawImage(ground, 0, 0);
    pen.globalAlpha = 0.6;
    for (let i = 0; i < spec.examples; i++) {
      const [x, y] = at(i);
      pen.fillStyle = colourOf(i);
      pen.fillRect(x - 1.5 * ratio, y - 1.5 * ratio, 3 * ratio, 3 * ratio);
    }
    pen.globalAlpha = 1;
    const radius = (i, k) => (k === undefined ? 8 * ratio : toPlane(Math.exp(logVar[i * dims + k] / 2)) - toPlane(0));
    for (let i = 0; i < spec.ellipses; i++) {
      for (const [stroke, width] of [[colour("--pad-paper"), 4], [colourOf(i), 2]]) {
        pen.beginPath();
        pen.ellipse(...at(i), radius(i, across), radius(i, up), 0, 0, 2 * Math.PI);
        pen.strokeStyle = stroke;
        pen.lineWidth = width * ratio;
        pen.stroke();
      }
    }
  }

  function drawSheet(sheet, images) {
    const { per_side: perSide, height, width, channels } = spec;
    showPixels(sheet, channels, (at) => {
      const [pixel, channel] = channels === 3 ? [Math.floor(at / 3), at % 3] : [at, 0];
      const [y, x] = [Math.floor(pixel / sheet.width), pixel % sheet.width];
      const image = Math.floor(y / height) * perSide + Math.floor(x / width);
      return images[((image * height + (y % height)) * width + (x % width)) * channels + channel];
    });
  }

  function draw(now) {
    frame = 0;
    if (playing) advance(now);
    const at = model.get("at");
    const epoch = spec.epochs[at];
    grounds ??= panels.map(({ plane }) => planeGround(plane, model, spec.reach, colour));
    const said = runs.map((run, k) => {
      const { plane, sheet, text } = panels[k];
      const i = run.upTo(epoch);
      const [mu, logVar] = [run.mu(i), run.logVar(i)];
      drawPlane(plane, grounds[k], mu, logVar);
      drawSheet(sheet, run.images(i));
      const { kl, width, spread } = numbersOf(mu, logVar, spec.examples);
      const when = run.epochs[i] === epoch ? `epoch ${epoch}` : `epoch ${run.epochs[i]}, its last`;
      const numbers = `KL ${kl.toFixed(2)} nats, codes spread over ${spread.toFixed(2)}, q is ${width.toFixed(2)} wide`;
      text.textContent = `${when}: ${numbers}`;
      plane.setAttribute("aria-label", `Latent plane of ${run.name} at ${when}: ${numbers}.`);
      sheet.setAttribute("aria-label", `Manifold of ${run.name} at ${when}: ${spec.alt}.`);
      return `${run.name}: ${numbers}`;
    });
    slider.value = at;
    slider.setAttribute("aria-valuetext", `epoch ${epoch}`);
    readout.textContent = `epoch ${epoch}`;
    if (!playing) timers.later("speak", SPEAK_AFTER, () => (spoken.textContent = `epoch ${epoch}. ${said.join(". ")}`));
  }

  // ---- Play, mouse, touch, keyboard: a range input does the last three
  function start() {
    const last = spec.epochs.length - 1;
    playing = { from: model.get("at") < last ? model.get("at") : 0 };
    playButton.textContent = "Stop";
    schedule();
  }
  function stop() {
    playing = null;
    playButton.textContent = "Play the training";
  }
  function advance(now) {
    playing.start ??= now;
    const at = Math.min(spec.epochs.length - 1, playing.from + Math.floor((now - playing.start) / BETWEEN));
    goTo(at);
    if (at === spec.epochs.length - 1) stop();
    else schedule();
  }
  on(slider, "input", () => {
    stop();
    goTo(slider.valueAsNumber);
  });

  // ---- Light and dark, the first picture, the end
  followTheme(on, closing, () => ((grounds = null), schedule()));
  model.on("change:at", schedule);
  schedule();

  return () => {
    closing.abort();
    model.off("change:at", schedule);
    cancelAnimationFrame(frame);
    saver.close();
    timers.close();
    root.remove();
  };
}

export default { render };
