// What the widgets on a latent plane share: elements, the plane's ground, light and dark, saving.

import { fixed, html } from "../engine/elements.js";
import { copied } from "./network.js";

// Sizes in CSS pixels, times in milliseconds.
export const PLANE = 320;
const SAVE_EVERY = 50;
export const SPEAK_AFTER = 400;

export const element = (parent, tag, className, attributes = {}) => html(parent, tag, { class: className, ...attributes });

/** A number for readers, with two places. */
export const signed = (x) => fixed(x, 2);
export const within = (x, limit) => Math.min(limit, Math.max(-limit, x));

export const pixelRatio = () => Math.max(1, window.devicePixelRatio || 1);

export function planeCanvas(parent, attributes) {
  const size = Math.round(PLANE * pixelRatio());
  return element(parent, "canvas", "plane", { role: "img", width: size, height: size, ...attributes });
}

/** The canvas's own pixels per CSS pixel: on a phone the plane may stand smaller, and its text must not. */
export const pixelsPer = (plane) => plane.width / (plane.clientWidth || PLANE);

export function addLegend(parent, spec) {
  const legend = element(parent, "div", "legend");
  spec.class_names.forEach((name, i) => {
    const entry = element(legend, "span", "entry");
    element(entry, "span", "swatch").style.background = spec.colours[i % spec.colours.length];
    entry.append(name);
  });
}

export const addButton = (parent, on, text, action) => {
  const made = element(parent, "button", "", { type: "button" });
  made.textContent = text;
  on(made, "click", action);
  return made;
};

export const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/** How far z lies along each axis: an axis has length 1, so under the prior each is a standard normal number. */
export const along = (spec, z) => spec.axes.map((axis) => dot(axis, z));

/** Half the width of the plane that shows the code z: the usual one, or more where z lies beyond it. */
export function reachFor(spec, z) {
  const farthest = Math.max(...along(spec, z).map(Math.abs));
  return Math.min(spec.limit, Math.max(spec.reach, Math.ceil(farthest * 2 - 1e-6) / 2));
}

/** The way from codes, and from places on the two shown axes, to the canvas's pixels. */
export function coordinates(plane, spec, reach) {
  const shown = spec.shown.map((i) => spec.axes[i]); // one axis where the latent space is a line
  const toPlane = (x) => ((x + reach) / (2 * reach)) * plane.width;
  const place = ([x, y]) => [toPlane(x), y === undefined ? plane.height / 2 : plane.height - toPlane(y)];
  const position = (code) => place(shown.map((axis) => dot(axis, code)));
  return { toPlane, place, position };
}

/** Draw what lies under the point, once: data points, what `under` adds, the prior's contours, the axes' names. */
export function planeGround(plane, model, reach, colour, under = () => {}) {
  const spec = model.get("spec");
  const names = model.get("names");
  const [across, up] = spec.shown;
  const ratio = pixelsPer(plane);
  const { toPlane, place, position } = coordinates(plane, spec, reach);
  const ground = document.createElement("canvas");
  ground.width = plane.width;
  ground.height = plane.height;
  const pen = ground.getContext("2d");
  pen.fillStyle = colour("--pad-paper");
  pen.fillRect(0, 0, plane.width, plane.height);
  const points = new Float32Array(copied(model.get("points")));
  const classes = new Uint8Array(copied(model.get("classes")));
  pen.globalAlpha = 0.6;
  classes.forEach((index, i) => {
    const [x, y] = place(points.subarray(i * spec.shown.length, (i + 1) * spec.shown.length));
    pen.fillStyle = spec.colours[index % spec.colours.length];
    pen.fillRect(x - 1.5 * ratio, y - 1.5 * ratio, 3 * ratio, 3 * ratio);
  });
  under(pen, position, ratio);
  pen.globalAlpha = 1;
  pen.strokeStyle = pen.fillStyle = colour("--pad-ink");
  pen.lineWidth = ratio;
  pen.font = `${11 * ratio}px sans-serif`;
  // The prior's contours: circles, or ellipses where the two axes are not perpendicular.
  const slant = up === undefined ? 0 : dot(spec.axes[across], spec.axes[up]);
  const round = Math.sqrt(1 - slant * slant);
  for (const sigma of [1, 2, 3]) {
    const radius = toPlane(sigma) - toPlane(0);
    pen.globalAlpha = 0.55;
    pen.beginPath();
    if (up === undefined) {
      for (const x of [toPlane(-sigma), toPlane(sigma)]) pen.rect(x, plane.height / 2 - 12 * ratio, 0, 24 * ratio);
    } else {
      for (let t = 0; t <= 360; t += 3) {
        const [x, y] = [Math.cos((t * Math.PI) / 180), Math.sin((t * Math.PI) / 180)];
        pen.lineTo(...place([sigma * x, sigma * (slant * x + round * y)]));
      }
    }
    pen.stroke();
    pen.globalAlpha = 0.9;
    const height = up === undefined ? 16 * ratio : radius + 3 * ratio;
    const x = up === undefined ? toPlane(sigma) : toPlane(slant * sigma) + 3 * ratio;
    const label = `${sigma}\u03c3`;
    pen.save(); // a rim of paper, so that points do not swallow the label
    pen.strokeStyle = colour("--pad-paper");
    pen.lineWidth = 4 * ratio;
    pen.strokeText(label, x, toPlane(0) - height);
    pen.restore();
    pen.fillText(label, x, toPlane(0) - height);
  }
  pen.textAlign = "right";
  pen.fillText(`${names[across]} \u2192`, plane.width - 5 * ratio, plane.height - 6 * ratio);
  pen.textAlign = "left";
  if (up !== undefined) pen.fillText(`${names[up]} \u2191`, 5 * ratio, 14 * ratio);
  return ground;
}

/** Paint an image, rows of one or three channels, values from 0 to 255; the canvas rounds. */
export function showPixels(canvas, channels, pixelAt) {
  const pen = canvas.getContext("2d");
  const data = pen.createImageData(canvas.width, canvas.height);
  for (let i = 0; i < canvas.width * canvas.height; i++) {
    for (let k = 0; k < 3; k++) data.data[4 * i + k] = pixelAt(channels === 3 ? 3 * i + k : i);
    data.data[4 * i + 3] = 255;
  }
  pen.putImageData(data, 0, 0);
}

/** The screen follows every frame; the kernel hears at most every 50 ms, and always the last value. */
export function lazySaver(model) {
  let unsaved = false;
  let timer;
  const flush = () => {
    timer = undefined;
    if (!unsaved) return;
    unsaved = false;
    model.save_changes();
    timer = setTimeout(flush, SAVE_EVERY);
  };
  const save = () => {
    unsaved = true;
    if (timer === undefined) flush();
  };
  const close = () => {
    clearTimeout(timer);
    if (unsaved) model.save_changes();
  };
  return { save, close };
}

/** Call repaint when JupyterLab's theme, the site's or the system's preference changes, until closing. */
export function followTheme(on, closing, repaint) {
  const themes = new MutationObserver(repaint);
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
  themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  on(window.matchMedia("(prefers-color-scheme: dark)"), "change", repaint);
  closing.signal.addEventListener("abort", () => themes.disconnect());
}
