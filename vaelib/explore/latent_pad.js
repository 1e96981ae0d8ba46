// The latent pad: decodes in the browser and draws. One module, no dependencies.

// Sizes in CSS pixels, times in milliseconds.
const PLANE = 320;
const SAVE_EVERY = 50;
const SEGMENT = 1500;
const ANSWER_WITHIN = 10000;
const SPEAK_AFTER = 400;
const STEP = 0.1;
const NAVIGATION = new Set(["ArrowLeft", "ArrowRight", "ArrowDown", "ArrowUp", "Home", "End", "PageUp", "PageDown"]);

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

// Abramowitz and Stegun 1964, formula 7.1.26: the error is below 1.5e-7, that of float32.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - tail * Math.exp(-x * x));
}

// The same names and defaults as ACTIVATIONS in frames.py.
const ACTIVATIONS = {
  linear: (x) => x,
  relu: (x) => Math.max(x, 0),
  tanh: Math.tanh,
  sigmoid,
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  silu: (x) => x * sigmoid(x),
  leaky_relu: (x) => (x > 0 ? x : 0.2 * x),
};

// A copy, because the bytes of a message may begin at an address that no Float32Array can begin at.
const copied = (view) => view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

/** Build the function from a code to the likelihood's parameters. */
export function network(spec, view) {
  const bytes = copied(view);
  const numbers = spec.dtype === "float16" ? Float32Array.from(new Uint16Array(bytes), fromHalf) : new Float32Array(bytes);
  let offset = 0;
  const take = (count) => numbers.subarray(offset, (offset += count));
  const layers = spec.layers.map((layer) => {
    if (layer.activation === undefined) {
      return { kernel: take(layer.inputs * layer.outputs), bias: take(layer.outputs) };
    }
    if (!(layer.activation in ACTIVATIONS)) throw new Error(`unknown activation ${layer.activation}`);
    return { activation: ACTIVATIONS[layer.activation] };
  });
  if (offset !== numbers.length) throw new Error(`${offset} weights expected, ${numbers.length} received`);
  return (z) => {
    let h = Float32Array.from(z);
    for (const { kernel, bias, activation } of layers) {
      if (activation) {
        h = h.map(activation);
        continue;
      }
      const next = bias.slice();
      const width = next.length;
      for (let i = 0; i < h.length; i++) {
        const value = h[i];
        if (value === 0) continue; // after a relu, half of them
        const row = i * width;
        for (let j = 0; j < width; j++) next[j] += value * kernel[row + j];
      }
      h = next;
    }
    return h;
  };
}

const element = (parent, tag, className, attributes = {}) => {
  const made = document.createElement(tag);
  made.className = className;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent.append(made);
  return made;
};

const signed = (x) => (Math.round(x * 100) / 100 + 0).toFixed(2).replace("-", "\u2212");

function render({ model, el }) {
  const spec = model.get("spec");
  const names = model.get("names");
  const [across, up] = spec.shown; // up is undefined where the latent space is a line
  const id = Math.random().toString(36).slice(2); // several views of one pad share its messages
  const closing = new AbortController();
  const on = (target, event, listener) => target.addEventListener(event, listener, { signal: closing.signal });

  // ---- The page's elements
  const root = element(el, "div", "vaelib-pad", { role: "group", "aria-label": "Latent pad" });
  // The notebook has arrow keys of its own, which would move to another cell: the pad's are not for it.
  on(root, "keydown", (event) => NAVIGATION.has(event.key) && event.stopPropagation());
  const pictures = element(root, "div", "pictures");
  const ratio = Math.max(1, window.devicePixelRatio || 1);
  const plane = element(pictures, "canvas", "plane", {
    role: "img", tabindex: 0, width: Math.round(PLANE * ratio), height: Math.round(PLANE * ratio),
  });
  const picture = element(pictures, "canvas", spec.smooth ? "image" : "image sharp", {
    role: "img", width: spec.width, height: spec.height,
  });
  picture.style.width = `${spec.width * spec.scale}px`;
  const legend = element(root, "div", "legend");
  spec.class_names.forEach((name, i) => {
    const entry = element(legend, "span", "entry");
    element(entry, "span", "swatch").style.background = spec.colours[i % spec.colours.length];
    entry.append(name);
  });
  const buttons = element(root, "div", "buttons");
  const button = (text, action) => {
    const made = element(buttons, "button", "", { type: "button" });
    made.textContent = text;
    on(made, "click", action);
    return made;
  };
  const sliders = names.map((name, i) => {
    const row = element(root, "div", "slider");
    element(row, "span", "name", { "aria-hidden": "true" }).textContent = name;
    const input = element(row, "input", "", { type: "range", step: 0.01, "aria-label": name });
    const value = element(row, "span", "value", { "aria-hidden": "true" });
    on(input, "input", () => {
      stop();
      move(z.map((old, j) => (j === i ? input.valueAsNumber : old)));
    });
    return { input, value };
  });
  const status = element(root, "div", "status", { role: "status" });
  const spoken = element(root, "div", "spoken", { "aria-live": "polite" });

  // ---- The state: z, and half the width of the plane, which grows when z is set from outside to a place beyond it
  let z = model.get("z");
  let reach = spec.reach;
  let walk = null;
  let frame = 0;
  let backdrop = null;
  let forward = null;
  const timers = {};

  const asText = () => names.map((name, i) => `${name} ${signed(z[i])}`).join(", ");
  const later = (name, delay, action) => {
    clearTimeout(timers[name]);
    timers[name] = setTimeout(() => ((timers[name] = undefined), action()), delay);
  };

  // The screen follows every frame; the kernel hears at most every 50 ms, and always the last value.
  let unsaved = false;
  const save = () => {
    unsaved = true;
    if (timers.save === undefined) flush();
  };
  const flush = () => {
    if (!unsaved) return;
    unsaved = false;
    model.save_changes();
    later("save", SAVE_EVERY, flush);
  };

  const within = (x, limit) => Math.min(limit, Math.max(-limit, x));
  const move = (code) => {
    model.set("z", code.map((x) => within(x, spec.limit))); // change:z brings it here and to other views
    save();
  };
  const onCode = () => {
    z = model.get("z");
    const needed = Math.min(spec.limit, Math.max(spec.reach, Math.ceil(Math.max(...z.map(Math.abs)) * 2) / 2));
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

  // ---- Drawing
  const toPlane = (x) => ((x + reach) / (2 * reach)) * plane.width;
  const position = (code) => [toPlane(code[across]), up === undefined ? plane.height / 2 : plane.height - toPlane(code[up])];
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function drawBackdrop() {
    backdrop = document.createElement("canvas");
    backdrop.width = plane.width;
    backdrop.height = plane.height;
    const pen = backdrop.getContext("2d");
    pen.fillStyle = colour("--pad-paper");
    pen.fillRect(0, 0, plane.width, plane.height);
    const points = new Float32Array(copied(model.get("points")));
    const classes = new Uint8Array(copied(model.get("classes")));
    pen.globalAlpha = 0.6;
    classes.forEach((index, i) => {
      const code = [];
      spec.shown.forEach((dimension, k) => (code[dimension] = points[i * spec.shown.length + k]));
      const [x, y] = position(code);
      pen.fillStyle = spec.colours[index % spec.colours.length];
      pen.fillRect(x - 1.5 * ratio, y - 1.5 * ratio, 3 * ratio, 3 * ratio);
    });
    pen.globalAlpha = 1;
    pen.strokeStyle = pen.fillStyle = colour("--pad-ink");
    pen.lineWidth = ratio;
    pen.font = `${11 * ratio}px sans-serif`;
    for (const sigma of [1, 2, 3]) {
      const radius = toPlane(sigma) - toPlane(0);
      pen.globalAlpha = 0.55;
      pen.beginPath();
      if (up === undefined) {
        for (const x of [toPlane(-sigma), toPlane(sigma)]) pen.rect(x, plane.height / 2 - 12 * ratio, 0, 24 * ratio);
      } else {
        pen.arc(toPlane(0), toPlane(0), radius, 0, 2 * Math.PI);
      }
      pen.stroke();
      pen.globalAlpha = 0.9;
      const height = up === undefined ? 16 * ratio : radius + 3 * ratio;
      pen.fillText(`${sigma}\u03c3`, up === undefined ? toPlane(sigma) : toPlane(0) + 3 * ratio, toPlane(0) - height);
    }
    pen.textAlign = "right";
    pen.fillText(`${names[across]} \u2192`, plane.width - 5 * ratio, plane.height - 6 * ratio);
    pen.textAlign = "left";
    if (up !== undefined) pen.fillText(`${names[up]} \u2191`, 5 * ratio, 14 * ratio);
  }

  function drawPlane() {
    if (!backdrop) drawBackdrop();
    const pen = plane.getContext("2d");
    pen.drawImage(backdrop, 0, 0);
    const ink = colour("--pad-ink");
    const paper = colour("--pad-paper");
    pen.font = `bold ${11 * ratio}px sans-serif`;
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

  function showPixels(pixelAt) {
    const pen = picture.getContext("2d");
    const data = pen.createImageData(spec.width, spec.height);
    for (let i = 0; i < spec.width * spec.height; i++) {
      for (let k = 0; k < 3; k++) data.data[4 * i + k] = pixelAt(spec.channels === 3 ? 3 * i + k : i);
      data.data[4 * i + 3] = 255;
    }
    pen.putImageData(data, 0, 0);
  }

  function draw(now) {
    frame = 0;
    if (walk) advance(now);
    drawPlane();
    if (forward) {
      const params = forward(z);
      showPixels((i) => 255 * sigmoid(params[i])); // the canvas rounds
    } else {
      ask();
    }
    const text = asText();
    plane.setAttribute("aria-label", `Latent plane, ${text}. Arrow keys move the point.`);
    picture.setAttribute("aria-label", `${spec.alt} At ${text}.`);
    sliders.forEach(({ input, value }, i) => {
      input.value = z[i];
      value.textContent = signed(z[i]);
    });
    if (!walk) later("speak", SPEAK_AFTER, () => (spoken.textContent = text));
  }

  const fitSliders = () => sliders.forEach(({ input }) => ((input.min = -reach), (input.max = reach)));

  // ---- Where the browser cannot decode: one question at a time, so that a drag leaves no queue behind
  const SLOW = "The browser cannot run this decoder: each picture comes from the Python kernel.";
  let asked = null;
  let questions = 0;
  function ask() {
    if (spec.layers || asked) return;
    asked = { id: `${id}:${questions++}`, z };
    later("answer", ANSWER_WITHIN, () => {
      asked = null;
      status.textContent = `${SLOW} It does not answer: is it running?`;
    });
    model.send({ kind: "decode", id: asked.id, z });
  }
  const onMessage = (message, buffers) => {
    if (!asked || message.id !== asked.id) return;
    clearTimeout(timers.answer);
    const moved = asked.z !== z;
    asked = null;
    if (message.kind === "image") {
      const pixels = new Uint8Array(copied(buffers[0]));
      showPixels((i) => pixels[i]);
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
    walk = null;
    walkButton.textContent = "Walk between the marks";
  }

  button("Sample the prior", () => {
    stop();
    // Box and Muller 1958; 1 - random is never zero.
    move(z.map(() => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())));
  });
  const setMarks = (marks) => (model.set("marks", marks), save());
  button("Mark this point", () => setMarks([...model.get("marks"), z]));
  const walkButton = button("Walk between the marks", () => {
    if (walk) return stop();
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
    if (count < 2) stop();
    schedule();
  };

  // ---- Mouse, touch and keyboard
  const point = (event) => {
    const box = plane.getBoundingClientRect();
    const code = [...z];
    const at = (share) => within((2 * share - 1) * reach, reach);
    code[across] = at((event.clientX - box.left - plane.clientLeft) / plane.clientWidth);
    if (up !== undefined) code[up] = -at((event.clientY - box.top - plane.clientTop) / plane.clientHeight);
    move(code);
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
  const ARROWS = { ArrowLeft: [across, -1], ArrowRight: [across, 1], ArrowDown: [up, -1], ArrowUp: [up, 1] };
  on(plane, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in ARROWS)) return;
    const [dimension, sign] = ARROWS[event.key];
    event.preventDefault(); // the page would scroll
    stop();
    const step = sign * STEP * (event.shiftKey ? 5 : 1);
    move(z.map((old, i) => (i === dimension ? within(old + step, reach) : old)));
  });

  // ---- Light and dark
  const repaint = () => ((backdrop = null), schedule());
  const themes = new MutationObserver(repaint);
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
  on(window.matchMedia("(prefers-color-scheme: dark)"), "change", repaint);

  // ---- The first picture
  model.on("change:z", onCode);
  model.on("change:marks", onMarks);
  model.on("msg:custom", onMessage);
  try {
    if (spec.layers) {
      forward = network(spec, model.get("weights"));
    } else {
      const pixels = new Uint8Array(copied(model.get("still")));
      showPixels((i) => pixels[i]);
      status.textContent = SLOW;
    }
  } catch (error) {
    status.textContent = `The decoder cannot run: ${error.message}.`;
  }
  fitSliders();
  onMarks();
  onCode();

  return () => {
    closing.abort();
    themes.disconnect();
    model.off("change:z", onCode);
    model.off("change:marks", onMarks);
    model.off("msg:custom", onMessage);
    cancelAnimationFrame(frame);
    if (unsaved) model.save_changes();
    Object.values(timers).forEach(clearTimeout);
    root.remove();
  };
}

export default { render };
