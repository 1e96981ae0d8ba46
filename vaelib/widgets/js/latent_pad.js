// The latent pad: decodes in the browser and draws. network.js and plane.js stand in front of it.

// Times in milliseconds.
const SEGMENT = 1500;
const ANSWER_WITHIN = 10000;
const STEP = 0.1;

function render({ model, el }) {
  const spec = model.get("spec");
  const names = model.get("names");
  const [across, up] = spec.shown; // up is undefined where the latent space is a line
  const id = Math.random().toString(36).slice(2); // several views of one pad share its messages
  const closing = new AbortController();
  const on = (target, event, listener) => target.addEventListener(event, listener, { signal: closing.signal });

  // ---- The page's elements
  const root = element(el, "div", "vaelib-pad", { role: "group", "aria-label": "Latent pad" });
  keepKeys(on, root);
  const pictures = element(root, "div", "pictures");
  const plane = planeCanvas(pictures, { tabindex: 0 });
  const ratio = plane.width / PLANE;
  const picture = element(pictures, "canvas", spec.smooth ? "image" : "image sharp", {
    role: "img", width: spec.width, height: spec.height,
  });
  picture.style.width = `${spec.width * spec.scale}px`;
  addLegend(root, spec);
  const buttons = element(root, "div", "buttons");
  const button = (text, action) => addButton(buttons, on, text, action);
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
  const timers = namedTimers();
  const saver = lazySaver(model);

  const asText = () => names.map((name, i) => `${name} ${signed(z[i])}`).join(", ");
  const move = (code) => {
    model.set("z", code.map((x) => within(x, spec.limit))); // change:z brings it here and to other views
    saver.save();
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

  // ---- Drawing
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function drawPlane() {
    backdrop ??= planeGround(plane, model, reach, colour);
    const { position } = coordinates(plane, spec, reach);
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

  const show = (pixelAt) => showPixels(picture, spec.channels, pixelAt);

  function draw(now) {
    frame = 0;
    if (walk) advance(now);
    drawPlane();
    if (forward) {
      const params = forward(z);
      show((i) => 255 * sigmoid(params[i]));
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
    if (!walk) timers.later("speak", SPEAK_AFTER, () => (spoken.textContent = text));
  }

  const fitSliders = () => sliders.forEach(({ input }) => ((input.min = -reach), (input.max = reach)));

  // ---- Where the browser cannot decode: one question at a time, so that a drag leaves no queue behind
  const SLOW = "The browser cannot run this decoder: each picture comes from the Python kernel.";
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
    walk = null;
    walkButton.textContent = "Walk between the marks";
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
  followTheme(on, closing, () => ((backdrop = null), schedule()));

  // ---- The first picture
  model.on("change:z", onCode);
  model.on("change:marks", onMarks);
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
  fitSliders();
  onMarks();
  onCode();

  return () => {
    closing.abort();
    model.off("change:z", onCode);
    model.off("change:marks", onMarks);
    model.off("msg:custom", onMessage);
    cancelAnimationFrame(frame);
    saver.close();
    timers.close();
    root.remove();
  };
}

export default { render };
