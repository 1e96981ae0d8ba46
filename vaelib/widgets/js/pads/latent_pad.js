// The latent pad: decodes in the browser and draws.

import "./latent_pad.css";
import { keepKeys, namedTimers } from "../engine/elements.js";
import { drawFilm, filmOf, FRAME_TIME, isDark } from "./film.js";
import { namingPanel } from "./naming.js";
import { copied, network, sigmoid } from "./network.js";
import {
  addButton, addLegend, coordinates, dot, element, followTheme, lazySaver, PLANE, planeCanvas, planeGround, reachFor, showPixels, signed,
  SPEAK_AFTER, within,
} from "./plane.js";

// Times in milliseconds.
const SEGMENT = 1500;
const ANSWER_WITHIN = 10000;
const STEP = 0.1;
const UNSURE = [213, 94, 0]; // the colour that lies over the pixels of which the decoder is least sure
const OPAQUE = 0.85;

// The same names as MEANS in vaelib/pretrained/networks.py.
const MEANS = {
  bernoulli: sigmoid,
  normal: sigmoid, // of the first half of the parameters
  identity: (x) => x,
  continuous_bernoulli: (l) => (Math.abs(l) < 0.1 ? 0.5 + l / 12 - l ** 3 / 720 : -1 / Math.expm1(-l) - 1 / l),
};

function render({ model, el }) {
  const spec = model.get("spec");
  const names = model.get("names");
  const [across, up] = spec.shown; // up is undefined where the latent space is a line
  const id = Math.random().toString(36).slice(2); // several views of one pad share its messages
  const closing = new AbortController();
  const on = (target, event, listener) => target.addEventListener(event, listener, { signal: closing.signal });
  const film = filmOf(model);

  // ---- The page's elements
  const root = element(el, "div", "vaelib-pad", { role: "group", "aria-label": "Latent pad" });
  keepKeys(on, root);
  const pictures = element(root, "div", "pictures");
  const plane = planeCanvas(pictures, { tabindex: 0 });
  const ratio = plane.width / PLANE;
  const faces = element(pictures, "div", "faces");
  const face = (name, caption) => {
    const figure = element(faces, "div", `figure ${name}`);
    figure.style.width = `${spec.width * spec.scale}px`;
    const text = caption && element(figure, "div", "caption", { "aria-hidden": "true" });
    if (text) text.textContent = caption;
    const canvas = element(figure, "canvas", spec.smooth ? "image" : "image sharp", {
      role: "img", width: spec.width, height: spec.height,
    });
    return { canvas, text };
  };
  const { canvas: picture } = face("decoded", film?.hasFrames && "decoded");
  const truth = film?.hasFrames ? face("true", "frame") : null;
  if (film) timeLegend();
  addLegend(root, spec);
  const time = film ? timeRow() : null;
  const buttons = element(root, "div", "buttons");
  const button = (text, action) => addButton(buttons, on, text, action);
  const sliders = element(root, "div", "sliders");
  const status = element(root, "div", "status", { role: "status" });
  const spreadText = spec.spread ? element(root, "div", "spread") : null;
  const spoken = element(root, "div", "spoken", { "aria-live": "polite" });

  // ---- The state: z, and half the width of the plane, which grows when z is set from outside to a place beyond it
  let z = model.get("z");
  let reach = spec.reach;
  let walk = null;
  let video = null;
  let shownFrame = null; // [number, distance of its code from z]
  let unsure = false; // whether the decoder's uncertainty lies over the image
  let frame = 0;
  let backdrop = null;
  let forward = null;
  const timers = namedTimers();
  const saver = lazySaver(model);

  const asText = () => rows.map(({ name, axis }) => `${name} ${signed(dot(axis, z))}`).join(", ");
  const move = (code) => {
    model.set("z", code.map((x) => within(x, spec.limit))); // change:z brings it here and to other views
    saver.save();
  };
  /** Move along one axis until it reads a value; the others stay where they are perpendicular to it. */
  const moveAlong = (axis, value) => move(z.map((old, k) => old + (value - dot(axis, z)) * axis[k]));
  /** Move within the shown plane to a place on its axes; solves two equations where they are not perpendicular. */
  const moveTo = (x, y) => {
    if (up === undefined) return moveAlong(spec.axes[across], x);
    const [a, b] = [spec.axes[across], spec.axes[up]];
    const [dx, dy, cosine] = [x - dot(a, z), y - dot(b, z), dot(a, b)];
    const [s, t] = [dx - cosine * dy, dy - cosine * dx].map((value) => value / (1 - cosine * cosine));
    move(z.map((old, k) => old + s * a[k] + t * b[k]));
  };
  const onCode = () => {
    z = model.get("z");
    const needed = reachFor(spec, z);
    if (needed > reach) {
      reach = needed;
      backdrop = null;
      fitSliders();
    }
    schedule();
  };
  const schedule = () => {
    if (!frame) frame = requestAnimationFrame(draw); // many moves, one drawing per frame
  };

  // ---- A slider for each axis, the named ones with a button that takes them away
  let rows = [];
  function makeSliders() {
    sliders.replaceChildren();
    const named = model.get("named").map(({ name, direction }) => ({ name, axis: direction, named: true }));
    rows = [...spec.axes.map((axis, i) => ({ name: names[i], axis })), ...named].map((row) => {
      const line = element(sliders, "div", "slider");
      element(line, "span", "name", { "aria-hidden": "true" }).textContent = row.name;
      const input = element(line, "input", "", { type: "range", step: 0.01, "aria-label": row.name });
      const value = element(line, "span", "value", { "aria-hidden": "true" });
      on(input, "input", () => {
        stop();
        moveAlong(row.axis, input.valueAsNumber);
      });
      if (row.named) {
        const remove = addButton(line, on, "\u00d7", () => {
          model.set("named", model.get("named").filter((axis) => axis.name !== row.name));
          saver.save();
        });
        remove.setAttribute("aria-label", `Take the axis ${row.name} away`);
      }
      return { ...row, input, value };
    });
    fitSliders();
    schedule();
  }
  const fitSliders = () => rows.forEach(({ input }) => ((input.min = -reach), (input.max = reach)));

  // ---- Drawing
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const timeColours = () => spec.time_colours[isDark(colour("--pad-paper")) ? "dark" : "light"];

  function drawPlane() {
    const path = (pen, position) => film && drawFilm(pen, position, ratio, film, timeColours());
    backdrop ??= planeGround(plane, model, reach, colour, path);
    const { place, position } = coordinates(plane, spec, reach);
    const pen = plane.getContext("2d");
    pen.drawImage(backdrop, 0, 0);
    const ink = colour("--pad-ink");
    const paper = colour("--pad-paper");
    pen.font = `bold ${11 * ratio}px sans-serif`;
    if (up !== undefined) for (const axis of model.get("named")) drawAxis(pen, place, axis, ink, paper);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    model.get("marks").forEach((mark, i) => {
      const [x, y] = position(mark);
      pen.fillStyle = ink;
      pen.fillRect(x - 7 * ratio, y - 7 * ratio, 14 * ratio, 14 * ratio);
      pen.fillStyle = paper;
      pen.fillText(i + 1, x, y);
    });
    const [x, y] = position(z);
    for (const [stroke, width] of [[paper, 5], [colour("--pad-accent"), 2.5]]) {
      pen.beginPath();
      pen.arc(x, y, 8 * ratio, 0, 2 * Math.PI);
      pen.strokeStyle = stroke;
      pen.lineWidth = width * ratio;
      pen.stroke();
    }
  }

  /** An arrow from the centre, as long as the named direction's share in the plane, and the name of its far side. */
  function drawAxis(pen, place, { high, direction }, ink, paper) {
    const [x, y] = place(spec.shown.map((i) => 0.8 * reach * dot(spec.axes[i], direction)));
    const [x0, y0] = place([0, 0]);
    const turn = Math.atan2(y - y0, x - x0);
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.lineTo(x, y);
    for (const side of [2.6, -2.6]) {
      pen.moveTo(x, y);
      pen.lineTo(x + 8 * ratio * Math.cos(turn + side), y + 8 * ratio * Math.sin(turn + side));
    }
    pen.textAlign = x > x0 ? "right" : "left";
    pen.textBaseline = y > y0 ? "top" : "bottom";
    for (const [stroke, width] of [[paper, 4], [ink, 1.5]]) {
      pen.strokeStyle = stroke;
      pen.lineWidth = width * ratio;
      pen.stroke();
      if (stroke === paper) pen.strokeText(high, x, y);
    }
    pen.fillStyle = ink;
    pen.fillText(high, x, y);
  }

  const show = (pixelAt) => showPixels(picture, spec.channels, pixelAt);

  /** The pixels' means, and over them, if wanted, the standard deviations in a colour. */
  function decode() {
    const params = forward(z);
    const mean = (i) => MEANS[spec.mean](params[i]);
    const { log_var: bounds, from, to, same } = spec.spread ?? {};
    const count = spec.height * spec.width * spec.channels;
    if (same) spreadText.textContent = `The decoder has one standard deviation for every pixel: ${same.toFixed(3)}.`;
    if (!bounds) return show((i) => 255 * mean(i));
    const std = (i) => Math.exp(Math.min(bounds[1], Math.max(bounds[0], params[count + i])) / 2);
    const all = Float64Array.from({ length: count }, (_, i) => std(i));
    const [low, high] = [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))];
    spreadText.textContent =
      `standard deviation of a pixel here: ${low.toFixed(3)} to ${high.toFixed(3)}` +
      (unsure ? `; orange grows from ${from.toFixed(2)} to ${to.toFixed(2)}` : "");
    if (!unsure) return show((i) => 255 * mean(i));
    const cover = (i) => OPAQUE * Math.min(1, Math.max(0, (all[i] - from) / (to - from || 1)));
    showPixels(picture, 3, (i) => {
      const at = spec.channels === 3 ? i : Math.floor(i / 3);
      return (1 - cover(at)) * 255 * mean(at) + cover(at) * UNSURE[i % 3];
    });
  }

  function draw(now) {
    frame = 0;
    if (walk) advance(now);
    if (video) play(now);
    drawPlane();
    if (forward) decode();
    else ask();
    if (film) showTime();
    const text = asText();
    plane.setAttribute("aria-label", `Latent plane, ${text}. Arrow keys move the point.`);
    picture.setAttribute("aria-label", `${spec.alt} At ${text}.`);
    rows.forEach(({ input, value, axis }) => {
      input.value = dot(axis, z);
      value.textContent = signed(dot(axis, z));
    });
    if (!walk && !video) timers.later("speak", SPEAK_AFTER, () => (spoken.textContent = text));
  }

  // ---- The video: a dot runs along the path, the true frame stands beside the decoded one
  function timeLegend() {
    const legend = element(root, "div", "legend time");
    legend.append("first frame ");
    element(legend, "span", "ramp", { "aria-hidden": "true" });
    legend.append(" last frame");
  }
  function timeRow() {
    const row = element(root, "div", "time");
    const button = addButton(row, on, "Play the video", () => (video ? stop() : start()));
    const range = { type: "range", min: 1, max: film.count, step: 1, "aria-label": "Frame" };
    const slider = element(row, "input", "", range);
    const text = element(row, "span", "value", { "aria-hidden": "true" });
    on(slider, "input", () => {
      stop();
      goTo(slider.valueAsNumber - 1);
    });
    return { button, slider, text };
  }
  const goTo = (number) => {
    shownFrame = [number, 0];
    move(film.code(number));
    schedule(); // two frames may have one code
  };
  function start() {
    stop();
    const from = shownFrame && shownFrame[0] < film.count - 1 ? shownFrame[0] : 0;
    video = { from };
    time.button.textContent = "Stop the video";
    schedule();
  }
  function play(now) {
    video.start ??= now;
    const number = Math.min(film.count - 1, video.from + Math.floor((now - video.start) / FRAME_TIME));
    goTo(number);
    if (number === film.count - 1) stop();
  }
  function showTime() {
    const ofShown = shownFrame && film.code(shownFrame[0]).map((x) => within(x, spec.limit));
    if (!ofShown || ofShown.some((x, k) => x !== z[k])) shownFrame = film.nearest(z);
    const [number, distance] = shownFrame;
    const which = `frame ${number + 1} of ${film.count}`;
    time.slider.value = number + 1;
    time.slider.setAttribute("aria-valuetext", which);
    time.text.textContent = `${number + 1} / ${film.count}`;
    const ramp = root.querySelector(".legend.time .ramp");
    ramp.style.background = `linear-gradient(to right, ${timeColours().join(", ")})`;
    if (!truth) return;
    truth.text.textContent = distance ? `nearest frame, ${distance.toFixed(2)} away` : "the true frame";
    const pixels = film.frame(number);
    showPixels(truth.canvas, spec.channels, (i) => pixels[i]);
    truth.canvas.setAttribute(
      "aria-label", `The true ${which}${distance ? `, whose code is nearest, ${distance.toFixed(2)} away` : ""}.`,
    );
  }

  // ---- Where the browser cannot decode: one question at a time, so that a drag leaves no queue behind
  const SLOW = `The browser cannot run this decoder: ${spec.reason} So each picture comes from the Python kernel.`;
  let asked = null;
  let questions = 0;
  function ask() {
    if (spec.layers || asked) return;
    asked = { id: `${id}:${questions++}`, z };
    timers.later("answer", ANSWER_WITHIN, () => {
      asked = null;
      status.textContent = `${SLOW} It does not answer: is it running?`;
    });
    model.send({ kind: "decode", id: asked.id, z });
  }
  const onMessage = (message, buffers) => {
    if (!asked || message.id !== asked.id) return;
    timers.clear("answer");
    const moved = asked.z !== z;
    asked = null;
    if (message.kind === "image") {
      const pixels = new Uint8Array(copied(buffers[0]));
      show((i) => pixels[i]);
    }
    status.textContent = message.kind === "error" ? message.text : SLOW;
    if (moved) ask();
  };

  // ---- The walk: between marks the speed rises and falls smoothly, and it stops at the last one
  function advance(now) {
    walk.start ??= now;
    const stops = model.get("marks");
    const along = (now - walk.start) / SEGMENT;
    const k = Math.min(Math.floor(along), stops.length - 2);
    const t = Math.min(along - k, 1);
    const eased = t * t * (3 - 2 * t);
    move(stops[k].map((from, i) => from + eased * (stops[k + 1][i] - from)));
    if (along >= stops.length - 1) stop();
    else schedule();
  }
  function stop() {
    [walk, video] = [null, null];
    walkButton.textContent = "Walk between the marks";
    if (time) time.button.textContent = "Play the video";
  }

  if (spec.spread?.log_var) {
    const layer = button("Show how unsure", () => {
      unsure = !unsure;
      layer.setAttribute("aria-pressed", unsure);
      schedule();
    });
    layer.setAttribute("aria-pressed", false);
  }
  button("Sample the prior", () => {
    stop();
    // Box and Muller 1958; 1 - random is never zero.
    move(z.map(() => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())));
  });
  const setMarks = (marks) => (model.set("marks", marks), saver.save());
  button("Mark this point", () => setMarks([...model.get("marks"), z]));
  const walkButton = button("Walk between the marks", () => {
    if (walk) return stop();
    stop();
    walk = {};
    walkButton.textContent = "Stop";
    schedule();
  });
  const clearButton = button("Clear the marks", () => setMarks([]));
  const onMarks = () => {
    const count = model.get("marks").length;
    walkButton.disabled = count < 2;
    walkButton.title = count < 2 ? "Mark two points first" : "";
    clearButton.disabled = count === 0;
    if (count < 2 && walk) stop();
    schedule();
  };

  // ---- Mouse, touch and keyboard
  const point = (event) => {
    const box = plane.getBoundingClientRect();
    const at = (share) => within((2 * share - 1) * reach, reach);
    moveTo(
      at((event.clientX - box.left - plane.clientLeft) / plane.clientWidth),
      -at((event.clientY - box.top - plane.clientTop) / plane.clientHeight),
    );
  };
  on(plane, "pointerdown", (event) => {
    if (event.button !== 0) return;
    stop();
    plane.focus({ preventScroll: true });
    plane.setPointerCapture(event.pointerId);
    point(event);
    event.preventDefault();
  });
  on(plane, "pointermove", (event) => plane.hasPointerCapture(event.pointerId) && point(event));
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
  on(plane, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in ARROWS)) return;
    event.preventDefault(); // the page would scroll
    stop();
    const step = STEP * (event.shiftKey ? 5 : 1);
    const place = spec.shown.map((i, k) => {
      const old = dot(spec.axes[i], z);
      const moved = ARROWS[event.key][k];
      return moved ? within(old + moved * step, reach) : old;
    });
    moveTo(...place);
  });

  // ---- Light and dark
  followTheme(on, closing, () => ((backdrop = null), schedule()));

  // ---- The first picture
  model.on("change:z", onCode);
  model.on("change:marks", onMarks);
  model.on("change:named", makeSliders);
  model.on("msg:custom", onMessage);
  try {
    if (spec.layers) {
      forward = network(spec, model.get("weights"));
    } else {
      const pixels = new Uint8Array(copied(model.get("still")));
      show((i) => pixels[i]);
      status.textContent = SLOW;
    }
  } catch (error) {
    status.textContent = `The decoder cannot run: ${error.message}.`;
  }
  makeSliders();
  if (film?.hasFrames) namingPanel(root, on, model, film, () => shownFrame && shownFrame[0], () => saver.save());
  onMarks();
  onCode();

  return () => {
    closing.abort();
    model.off("change:z", onCode);
    model.off("change:marks", onMarks);
    model.off("change:named", makeSliders);
    model.off("msg:custom", onMessage);
    cancelAnimationFrame(frame);
    saver.close();
    timers.close();
    root.remove();
  };
}

export default { render };
