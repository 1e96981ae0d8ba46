// The reader names an axis: frames are picked for either side, and the direction from the one side's mean code to the
// other's becomes a slider. directions.py has the same formula, and the reason for it.

import { addButton, dot, element, showPixels, signed } from "./plane.js";

const SHEET = 24; // frames offered at a time

/** The unit vector from the mean of some codes to the mean of others; null where the means are the same. */
function directionBetween(low, high) {
  const mean = (codes) => codes[0].map((_, k) => codes.reduce((sum, code) => sum + code[k], 0) / codes.length);
  const [from, to] = [mean(low), mean(high)];
  const difference = to.map((value, k) => value - from[k]);
  const length = Math.hypot(...difference);
  return length < 1e-9 ? null : difference.map((value) => value / length);
}

/** The panel under the pad: two sides with a name each, a sheet of frames to click, and what came of it. */
export function namingPanel(parent, on, model, film, shownFrame, changed) {
  const spec = model.get("spec");
  const group = `side-${Math.random().toString(36).slice(2)}`; // two pads on a page have radio buttons of their own
  const picks = [[], []];
  let active = 0;
  let sheet = 0;

  const panel = element(parent, "details", "naming");
  element(panel, "summary", "").textContent = "Name an axis yourself";
  element(panel, "p", "").textContent =
    "Name the two sides. Choose a side and click frames that belong to it, three to five of each. " +
    "A slider then moves along the line from the one side\u2019s mean code to the other\u2019s.";
  const sides = spec.sides.map((side, i) => {
    const row = element(panel, "div", "side");
    const label = `Pick frames for side ${i + 1}`;
    const choice = element(row, "input", "", { type: "radio", name: group, "aria-label": label });
    const name = element(row, "input", "", { type: "text", maxlength: 24, "aria-label": `Name of side ${i + 1}` });
    const count = element(row, "span", "count");
    name.value = side;
    choice.checked = i === active;
    on(choice, "change", () => ((active = i), show()));
    on(name, "focus", () => ((choice.checked = true), (active = i), show()));
    on(name, "input", () => show());
    // A letter typed here is no command of the notebook's.
    for (const input of [choice, name]) on(input, "keydown", (event) => event.stopPropagation());
    return { name, count };
  });
  const frames = element(panel, "div", "sheet", { role: "group", "aria-label": "Frames to pick" });
  const buttons = element(panel, "div", "buttons");
  const pickShown = addButton(buttons, on, "Pick the frame shown above", () => pick(shownFrame()));
  addButton(buttons, on, "Other frames", () => ((sheet += 1), fill()));
  addButton(buttons, on, "Start again", () => ((picks[0] = []), (picks[1] = []), fill()));
  const make = addButton(buttons, on, "Make the axis", () => build());
  const message = element(panel, "div", "message", { role: "status" });

  const nameOf = (i) => sides[i].name.value.trim() || spec.sides[i];
  const sideOf = (frame) => picks.findIndex((side) => side.includes(frame));
  function pick(frame) {
    const old = sideOf(frame);
    if (old >= 0) picks[old] = picks[old].filter((other) => other !== frame);
    if (old !== active) picks[active].push(frame);
    if (thumbs.some((thumb) => thumb.frame === frame)) show();
    else fill();
  }

  let thumbs = [];
  /** Offer what is picked already, and frames spread over the whole video. */
  function fill() {
    frames.replaceChildren();
    const offered = [...picks[0], ...picks[1]];
    const shift = (sheet * 0.381966) % 1; // the golden section: each sheet falls between the ones before
    for (let i = 0; i < Math.min(SHEET, film.count); i++) {
      const frame = Math.floor(((i + shift) / Math.min(SHEET, film.count)) * film.count);
      if (!offered.includes(frame)) offered.push(frame);
    }
    thumbs = offered.map((frame) => {
      const button = element(frames, "button", "thumb", { type: "button" });
      const picture = element(button, "canvas", spec.smooth ? "" : "sharp", { width: spec.width, height: spec.height });
      const pixels = film.frame(frame);
      showPixels(picture, spec.channels, (k) => pixels[k]);
      element(button, "span", "mark", { "aria-hidden": "true" });
      on(button, "click", () => pick(frame));
      return { frame, button };
    });
    show();
  }

  function show() {
    for (const { frame, button } of thumbs) {
      const side = sideOf(frame);
      button.dataset.side = side;
      button.setAttribute("aria-pressed", side >= 0);
      button.setAttribute("aria-label", `Frame ${frame + 1}${side < 0 ? "" : `, ${nameOf(side)}`}`);
      button.querySelector(".mark").textContent = ["", "\u2212", "+"][side + 1];
    }
    sides.forEach(({ count }, i) => {
      count.textContent = `${"\u2212+"[i]} ${picks[i].length} ${picks[i].length === 1 ? "frame" : "frames"}`;
    });
    make.disabled = !picks[0].length || !picks[1].length || nameOf(0) === nameOf(1);
    make.title = make.disabled ? "Two different names, and at least one frame for each side" : "";
    pickShown.disabled = shownFrame() === null;
  }

  function build() {
    const direction = directionBetween(...picks.map((side) => side.map(film.code)));
    if (!direction) {
      message.textContent = "Both sides have the same mean code: pick other frames.";
      return;
    }
    const [low, high] = [nameOf(0), nameOf(1)];
    const name = `${low} to ${high}`;
    const axis = { name, low, high, frames: picks.map((side) => [...side]), direction };
    model.set("named", [...model.get("named").filter((old) => old.name !== name), axis]);
    changed();
    const names = model.get("names");
    const cosines = spec.axes.map((other, i) => `${signed(dot(other, direction))} with ${names[i]}`).join(", ");
    message.textContent = `${name}: the cosine is ${cosines}.`;
  }

  on(panel, "toggle", () => panel.open && !thumbs.length && fill());
  show();
}
