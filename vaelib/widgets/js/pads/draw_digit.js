// Draw a digit: it is centred and scaled as MNIST is, encoded, and reconstructed.

import "./latent_pad.css";
import "./draw_digit.css";
import { keepKeys, namedTimers } from "../engine/elements.js";
import { imageOf, keepDrawing, keptDrawing, SIDE, strokesOf, textOf } from "../engine/strokes.js";
import { copied, network, sigmoid } from "./network.js";
import {
  addButton, addLegend, coordinates, element, followTheme, lazySaver, pixelRatio, PLANE, planeCanvas, planeGround, reachFor, showPixels,
  signed, SPEAK_AFTER,
} from "./plane.js";

const SURFACE = 224; // CSS pixels
const SMALL = 112;
const CLOSE = 0.004; // points of a stroke lie at least this far apart, in widths of the surface
const LENS = 84;
const LENS_BELOW = 10; // CSS pixels of one sigma
const MAX_UNDO = 100;

function render({ model, el }) {
  const spec = model.get("spec");
  const names = model.get("names");
  const closing = new AbortController();
  const on = (target, event, listener) => target.addEventListener(event, listener, { signal: closing.signal });
  const timers = namedTimers();
  const saver = lazySaver(model);

  // ---- The page's elements
  const root = element(el, "div", "vaelib-pad vaelib-draw", { role: "group", "aria-label": "Draw a digit" });
  keepKeys(on, root);
  const pictures = element(root, "div", "pictures");
  const side = Math.round(SURFACE * pixelRatio());
  const figure = (text) => {
    const made = element(pictures, "div", "figure");
    element(made, "div", "caption", { "aria-hidden": "true" }).textContent = text;
    return made;
  };
  const surface = element(figure("draw here"), "canvas", "surface", { role: "img", width: side, height: side });
  const small = figure("as MNIST: 28 \u00d7 28");
  const picture = (parent, name) => {
    const made = element(parent, "canvas", `${name} sharp`, { role: "img", width: SIDE, height: SIDE });
    made.style.width = `${SMALL}px`;
    return made;
  };
  const seen = picture(small, "seen");
  element(small, "div", "caption", { "aria-hidden": "true" }).textContent = "reconstruction";
  const rebuilt = picture(small, "rebuilt");
  const plane = planeCanvas(figure("q(z|x): the ellipses of 1\u03c3 and 2\u03c3"), {});
  addLegend(root, spec);
  const buttons = element(root, "div", "buttons");
  const undoButton = addButton(buttons, on, "Undo", () => undo());
  const clearButton = addButton(buttons, on, "Clear", () => act([], new Array(SIDE * SIDE).fill(0)));
  const examples = new Uint8Array(copied(model.get("examples")));
  const picker = element(buttons, "select", "picker", { "aria-label": "Load an example" });
  element(picker, "option", "", { value: "" }).textContent = "or load an example";
  spec.example_names.forEach((name, i) => (element(picker, "option", "", { value: i }).textContent = name));
  picker.hidden = !spec.example_names.length;
  // A letter or a number chooses an option; the notebook would take it for a command.
  on(picker, "keydown", (event) => event.ctrlKey || event.metaKey || event.altKey || event.stopPropagation());
  on(picker, "change", () => {
    if (picker.value === "") return;
    const start = Number(picker.value) * SIDE * SIDE;
    act([], Array.from(examples.subarray(start, start + SIDE * SIDE)));
  });
  const status = element(root, "div", "status", { role: "status" });
  const spoken = element(root, "div", "spoken", { "aria-live": "polite" });

  // ---- The state lives in the model: strokes and image, and what the encoder makes of the image
  let encode = null;
  let decode = null;
  let reach = spec.reach;
  let ground = null;
  let frame = 0;
  let pen = null; // the stroke under the pen, in points; null when it is up
  let fresh = false; // whether the pen has moved since the last frame
  const past = []; // what undo goes back to

  const posterior = (image) => {
    const params = Array.from(encode(image.map((value) => value / 255)));
    return [params.slice(0, names.length), params.slice(names.length)];
  };
  const put = (strokes, image) => {
    const blank = !image.some((value) => value > 0);
    const [mu, logVar] = blank || !encode ? [[], []] : posterior(image);
    for (const [key, value] of Object.entries({ strokes, image, mu, log_var: logVar })) model.set(key, value);
    saver.save();
  };
  const remember = () => {
    past.push([model.get("strokes"), model.get("image")]);
    if (past.length > MAX_UNDO) past.shift();
  };
  const act = (strokes, image) => {
    pen = null;
    remember();
    put(strokes, image);
    schedule();
  };
  const undo = () => {
    pen = null;
    if (past.length) put(...past.pop());
    schedule();
  };
  const schedule = () => {
    if (!frame) frame = requestAnimationFrame(draw); // many moves of the pen, one drawing per frame
  };

  // ---- Drawing
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function drawSurface(strokes, image) {
    const brush = surface.getContext("2d");
    brush.fillStyle = "#000";
    brush.fillRect(0, 0, side, side);
    brush.strokeStyle = brush.fillStyle = "#fff";
    brush.lineWidth = 2 * spec.radius * side;
    brush.lineCap = brush.lineJoin = "round";
    for (const stroke of strokes) {
      brush.beginPath();
      for (const [x, y] of stroke) brush.lineTo(x * side, y * side);
      if (stroke.length === 1) brush.lineTo(stroke[0][0] * side, stroke[0][1] * side);
      brush.stroke();
    }
    if (strokes.length) return;
    brush.imageSmoothingEnabled = false;
    brush.drawImage(seen, 0, 0, side, side); // an example, or an image from Python
  }

  function drawPlane(mu, sigma) {
    ground ??= planeGround(plane, model, reach, colour);
    const brush = plane.getContext("2d");
    brush.drawImage(ground, 0, 0);
    if (!mu.length) return;
    const { toPlane, position } = coordinates(plane, spec, reach);
    const ratio = plane.width / PLANE;
    const [x, y] = position(mu);
    const [across, up] = spec.shown;
    const radius = (dimension) => (dimension === undefined ? 8 * ratio : toPlane(sigma[dimension]) - toPlane(0));
    const radii = [radius(across), radius(up)];
    const halo = (outline) => {
      for (const [stroke, width] of [[colour("--pad-paper"), 4.5], [colour("--pad-accent"), 2]]) {
        brush.strokeStyle = stroke;
        brush.lineWidth = width * ratio;
        brush.beginPath();
        outline();
        brush.stroke();
      }
    };
    const ellipses = (centreX, centreY, zoom) => {
      for (const k of [1, 2]) {
        brush.moveTo(centreX + k * zoom * radii[0], centreY);
        brush.ellipse(centreX, centreY, k * zoom * radii[0], k * zoom * radii[1], 0, 0, 2 * Math.PI);
      }
    };
    const ticks = () => {
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        const start = 6 * ratio + 2 * Math.abs(dx * radii[0] + dy * radii[1]);
        brush.moveTo(x + dx * start, y + dy * start);
        brush.lineTo(x + dx * (start + 10 * ratio), y + dy * (start + 10 * ratio));
      }
    };
    const large = Math.max(...radii);
    if (large > LENS_BELOW * ratio) return halo(() => ellipses(x, y, 1));
    // Ellipses of a few pixels: four ticks point at them, and a lens in the corner enlarges them.
    halo(() => (ellipses(x, y, 1), ticks()));
    const size = LENS * ratio;
    const [near, away] = [4 * ratio, plane.height - 4 * ratio - size];
    const [left, top] = x < plane.width / 2 && y > plane.height / 2 ? [away, near] : [near, away];
    brush.fillStyle = colour("--pad-paper");
    brush.fillRect(left, top, size, size);
    brush.strokeStyle = colour("--pad-line");
    brush.lineWidth = ratio;
    brush.strokeRect(left, top, size, size);
    const zoom = Math.max(1, Math.floor((0.36 * size) / (2 * large)));
    halo(() => ellipses(left + size / 2, top + 0.56 * size, zoom));
    brush.fillStyle = colour("--pad-ink");
    brush.font = `${11 * ratio}px sans-serif`;
    brush.fillText(`\u00d7 ${zoom}`, left + 4 * ratio, top + 13 * ratio);
  }

  function draw() {
    frame = 0;
    if (pen && fresh) {
      fresh = false;
      const strokes = [...pen.before, pen.points.slice()];
      put(strokes, imageOf(strokes, spec.radius));
    }
    const image = model.get("image");
    const strokes = model.get("strokes");
    const blank = !image.some((value) => value > 0);
    showPixels(seen, 1, (i) => image[i]);
    drawSurface(strokes, image);
    let [mu, sigma] = [[], []];
    let pixel = () => 0;
    if (!blank && decode) {
      const [mean, logVar] = posterior(image);
      [mu, sigma] = [mean, logVar.map((value) => Math.exp(value / 2))];
      const params = decode(mu);
      pixel = (i) => 255 * sigmoid(params[i]);
      const needed = reachFor(spec, mu);
      if (needed > reach) [reach, ground] = [needed, null];
    }
    showPixels(rebuilt, 1, pixel);
    drawPlane(mu, sigma);
    say(mu, sigma, strokes.length);
  }

  function say(mu, sigma, count) {
    const where = mu.length
      ? names.map((name, i) => `${name} ${signed(mu[i])} \u00b1 ${sigma[i].toFixed(2)}`).join(", ")
      : "nothing drawn yet";
    const strokes = count ? `${count} ${count === 1 ? "stroke" : "strokes"}` : mu.length ? "an image" : "empty";
    const how = "Draw with mouse, finger or pen, or load an example.";
    surface.setAttribute("aria-label", `Drawing surface, ${strokes}. ${how}`);
    seen.setAttribute("aria-label", "The drawing, centred and scaled as the digits of MNIST are.");
    rebuilt.setAttribute("aria-label", `The reconstruction: what the decoder makes of ${where}.`);
    plane.setAttribute("aria-label", `Latent plane with the approximate posterior: ${where}.`);
    const said = mu.length ? `q(z|x), mean \u00b1 \u03c3: ${where}` : "Draw a digit, or load an example.";
    if (encode) status.textContent = said;
    undoButton.disabled = past.length === 0;
    clearButton.disabled = !mu.length && count === 0;
    if (!pen) timers.later("speak", SPEAK_AFTER, () => (spoken.textContent = where));
  }

  // ---- Mouse, finger and pen
  const place = (event) => {
    const box = surface.getBoundingClientRect();
    const share = (x) => Math.round(1e4 * Math.min(1, Math.max(0, x))) / 1e4;
    return [
      share((event.clientX - box.left - surface.clientLeft) / surface.clientWidth),
      share((event.clientY - box.top - surface.clientTop) / surface.clientHeight),
    ];
  };
  const extend = (event) => {
    if (!pen || event.pointerId !== pen.id) return;
    const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const step of all.length ? all : [event]) {
      const [x, y] = place(step);
      const [oldX, oldY] = pen.points.at(-1);
      if (Math.hypot(x - oldX, y - oldY) < CLOSE) continue;
      pen.points.push([x, y]);
      fresh = true;
    }
    if (fresh) schedule();
  };
  const lift = (event) => {
    if (!pen || event.pointerId !== pen.id) return;
    if (frame) cancelAnimationFrame(frame);
    draw(); // the last points must not wait for a frame that a new stroke may take
    pen = null;
    keepDrawing(textOf(model.get("strokes")));
    schedule();
  };
  on(surface, "pointerdown", (event) => {
    if (event.button !== 0 || pen) return; // a second finger does not draw
    surface.setPointerCapture(event.pointerId);
    picker.value = "";
    remember();
    pen = { id: event.pointerId, before: model.get("strokes"), points: [place(event)] };
    fresh = true;
    schedule();
    event.preventDefault();
  });
  on(surface, "pointermove", extend);
  on(surface, "pointerup", (event) => (extend(event), lift(event)));
  on(surface, "pointercancel", lift);

  // ---- Light and dark, the first picture, the end
  followTheme(on, closing, () => ((ground = null), schedule()));
  const watched = ["change:strokes", "change:image"];
  const onChange = () => {
    const value = Number(picker.value) * SIDE * SIDE;
    if (picker.value !== "" && model.get("image").some((v, i) => v !== examples[value + i])) picker.value = "";
    schedule();
  };
  for (const event of watched) model.on(event, onChange);
  try {
    encode = network({ ...spec, layers: spec.encoder }, model.get("encoder_weights"));
    decode = network({ ...spec, layers: spec.decoder }, model.get("decoder_weights"));
  } catch (error) {
    [encode, decode] = [null, null];
    status.textContent = `The networks cannot run: ${error.message}.`;
  }
  // What the reader drew in another lesson takes the place of an example.
  const kept = strokesOf(keptDrawing());
  if (kept.length && !model.get("strokes").length) act(kept, imageOf(kept, spec.radius));
  schedule();

  return () => {
    closing.abort();
    for (const event of watched) model.off(event, onChange);
    cancelAnimationFrame(frame);
    saver.close();
    timers.close();
    root.remove();
  };
}

export default { render };
