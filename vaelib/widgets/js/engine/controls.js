// Sliders, menus, check boxes: each shows one named value and sets it.

import { fixed, html } from "./elements.js";
import { isDrawing } from "./strokes.js";

const decimals = (step) => [0, 1, 2, 3, 4, 5].find((places) => Math.abs(Number(step.toFixed(places)) - step) < 1e-9) ?? 6;

/** Bring a value into a control's range and onto its steps; undefined where it is not one of its kind. */
export function fitted(control, value) {
  if (control.kind === "menu") return control.options.includes(value) ? value : undefined;
  if (control.kind === "toggle") return typeof value === "boolean" ? value : undefined;
  if (control.kind === "drawing") return isDrawing(value) ? value : undefined;
  if (control.kind === "marks") return areMarks(control, value) ? value : undefined;
  if (typeof value !== "number" || !Number.isFinite(value)) return undefined;
  const { low, high, step } = control;
  const snapped = low + Math.round((Math.min(high, Math.max(low, value)) - low) / step) * step;
  return Math.min(high, Number(snapped.toFixed(decimals(step) + 2)));
}

const areMarks = ({ length, letters }, value) =>
  typeof value === "string" && value.length === length && [...value].every((letter) => letters.includes(letter));

/** The whole number whose log10 a slider that counts holds. */
export const count = (log10) => Math.round(10 ** log10);

/** A value as a reader sees it. */
export const shown = (control, value) =>
  control.counts ? fixed(count(value), 0)
  : control.kind === "slider" ? fixed(value, decimals(control.step)) : control.kind === "toggle" ? (value ? "on" : "off") : value;

/** A value from its text in an address. */
export const parsed = (control, text) =>
  fitted(control, control.kind === "slider" ? Number(text) : control.kind === "toggle" ? text === "true" : text);

const MAKE = {
  slider(row, control, stage) {
    const { name, label, low, high, step } = control;
    const input = html(row, "input", { type: "range", min: low, max: high, step, "aria-label": label });
    const value = html(row, "span", { class: "value", "aria-hidden": "true" });
    stage.on(input, "input", () => stage.set({ [name]: input.valueAsNumber }));
    stage.on(input, "keydown", (event) => {
      const sign = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
      if (!sign || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      stage.nudge(name, sign, event.shiftKey);
    });
    return (now) => {
      input.value = now;
      value.textContent = shown(control, now);
      input.setAttribute("aria-valuetext", shown(control, now));
    };
  },

  menu(row, { name, label, options }, stage) {
    const select = html(row, "select", { "aria-label": label });
    for (const option of options) html(select, "option", { value: option, text: option });
    stage.on(select, "change", () => stage.set({ [name]: select.value }));
    return (now) => (select.value = now);
  },

  toggle(row, { name, label }, stage) {
    const input = html(row, "input", { type: "checkbox", "aria-label": label });
    stage.on(input, "change", () => stage.set({ [name]: input.checked }));
    return (now) => (input.checked = now);
  },
};

/** Make the element of a control; returns the function that shows a value. */
export function addControl(parent, control, stage) {
  const row = html(parent, "div", { class: `control ${control.kind}` });
  html(row, "span", { class: "name", "aria-hidden": "true", text: control.label });
  return MAKE[control.kind](row, control, stage);
}
