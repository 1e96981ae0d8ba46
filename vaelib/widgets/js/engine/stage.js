// What a lab draws on: rows of plots that follow the page's width, controls, text below, buttons, time.

import { addControl, fitted, shown } from "./controls.js";
import { html, keepKeys, namedTimers, paint } from "./elements.js";
import { sharer, valuesInAddress } from "./link.js";
import { Plot } from "./plot.js";

// Times in milliseconds.
const SAVE_EVERY = 50;
const SPEAK_AFTER = 400;
const GAP = 16; // between plots, CSS pixels

export class Stage {
  /**
   * @param lab    the lab's module:
   *               prepare(data)                    optional: what is computed once from Python's data
   *               numbers(ready, values, memory)   everything that the picture shows, equal to Python's
   *               draw(stage, ready)               makes the plots; returns function (now, values) that moves them
   *               readout(now, values, memory, ready)   the numbers as lines of text
   *               begin(memory, ready), buttons(stage, ready)   optional: what it keeps beside its values; its buttons
   *               opened(stage)                    optional: called once, when no address says what to show
   *               frozen(values)                   optional: whether the reader may change nothing now
   * @param model  the widget's model: spec with controls, data and alt; values by the controls' names
   */
  constructor(lab, model, el) {
    const { controls, data, alt } = model.get("spec");
    Object.assign(this, { lab, model, controls, timers: namedTimers(), frame: 0, plays: null, announced: [] });
    this.closing = new AbortController();
    this.root = html(el, "div", { class: "vaelib-lab", role: "group", "aria-label": alt });
    keepKeys((...args) => this.on(...args), this.root);
    this.picture = html(this.root, "div", { class: "picture" });
    this.key = html(this.root, "div", { class: "key" });
    this.hovered = html(this.root, "div", { class: "hovered", "aria-hidden": "true", hidden: "" });
    this.readout = html(this.root, "div", { class: "readout" });
    const panel = html(this.root, "div", { class: "controls" });
    this.show = controls.map((control) => (control.hidden ? () => {} : addControl(panel, control, this)));
    this.buttons = html(this.root, "div", { class: "buttons" });
    this.status = html(this.root, "div", { class: "status", role: "status" });
    this.spoken = html(this.root, "div", { class: "spoken", "aria-live": "polite" });
    this.start = Object.fromEntries(controls.map(({ name, start }) => [name, start]));
    this.ready = lab.prepare ? lab.prepare(data) : data;
    this.memory = {}; // what a lab keeps beside its values: noise drawn, steps done
    lab.begin?.(this.memory, this.ready);
    lab.buttons?.(this, this.ready);
    if (controls.length) this.button(lab.resetText ?? "Reset", () => this.reset()).className = "reset";
    this.share(el);
    this.onValues = () => this.schedule();
    model.on("change:values", this.onValues);
    this.watch();
    const given = valuesInAddress(el, controls);
    if (Object.keys(given).length) this.set(given);
    else lab.opened?.(this);
  }

  /** Listen until the lab is taken off the page. */
  on(target, event, listener) {
    target.addEventListener(event, listener, { signal: this.closing.signal });
  }

  /** Listen until the pictures are built anew. */
  onPicture(target, event, listener) {
    target.addEventListener(event, listener, { signal: this.building.signal });
  }

  // ---- Values

  /** The values now, each within its control's range; one that is not keeps its start and is named below the lab. */
  get values() {
    const given = this.model.get("values");
    const wrong = [];
    const values = Object.fromEntries(this.controls.map((control) => {
      const value = fitted(control, given[control.name]);
      if (value === undefined) wrong.push(`${control.label} cannot be ${given[control.name]}`);
      return [control.name, value ?? control.start];
    }));
    this.complaint = wrong.join("; ");
    return values;
  }

  /** Change some values; the picture follows with the next frame, Python a little later. */
  set(changes) {
    const values = this.values;
    if (this.lab.frozen?.(values)) return;
    this.put(values, changes);
  }

  put(values, changes) {
    for (const control of this.controls) {
      const value = control.name in changes ? fitted(control, changes[control.name]) : undefined;
      if (value !== undefined) values[control.name] = value;
    }
    this.model.set("values", values); // tells this view and others
    this.unsaved = true;
    if (!this.saving) this.save();
  }

  save() {
    this.saving = undefined;
    if (!this.unsaved) return;
    this.unsaved = false;
    this.model.save_changes();
    this.saving = setTimeout(() => this.save(), SAVE_EVERY);
  }

  reset() {
    this.pause();
    this.lab.begin?.(this.memory, this.ready);
    this.put(this.values, this.start);
    this.schedule(); // also where no value has changed
  }

  /** Move one control by an arrow key; with Shift by its smallest step. */
  nudge(name, sign, fine) {
    const control = this.controls.find((each) => each.name === name);
    this.set({ [name]: this.values[name] + sign * (fine ? control.step : control.key) });
  }

  /** Keep a handle's text for screen readers up to date: it stands for these controls. */
  announce(node, names) {
    const [first] = names;
    const { low, high } = this.controls.find(({ name }) => name === first);
    node.setAttribute("aria-valuemin", low);
    node.setAttribute("aria-valuemax", high);
    this.announced.push({ node, controls: this.controls.filter(({ name }) => names.includes(name)), first });
  }

  // ---- Drawing

  /** Draw again with the next frame: many changes, one drawing. Before there are pictures, `build` will do it. */
  schedule() {
    if (!this.frame && this.redraw) this.frame = requestAnimationFrame((time) => this.draw(time));
  }

  draw(time) {
    this.frame = 0;
    if (this.plays) this.advance(time);
    const values = this.values;
    try {
      const now = this.lab.numbers(this.ready, values, this.memory);
      this.redraw(now, values);
      const lines = this.lab.readout(now, values, this.memory, this.ready);
      this.readout.replaceChildren(...lines.map((text) => html(null, "div", { text })));
      this.status.textContent = this.complaint;
      if (!this.plays) this.timers.later("speak", SPEAK_AFTER, () => (this.spoken.textContent = lines.join(". ")));
    } catch (error) {
      console.error(error);
      this.status.textContent = `This lab cannot draw these values: ${error.message}`;
    }
    this.controls.forEach((control, i) => this.show[i](values[control.name]));
    for (const { node, controls, first } of this.announced) {
      node.setAttribute("aria-valuenow", values[first]);
      node.setAttribute("aria-valuetext", controls.map((control) => `${control.label} ${shown(control, values[control.name])}`).join(", "));
    }
  }

  /** Build the pictures for the width that there is; again whenever it changes. */
  build() {
    this.building?.abort();
    this.building = new AbortController();
    this.announced = [];
    this.picture.replaceChildren();
    this.key.replaceChildren();
    this.redraw = this.lab.draw(this, this.ready);
    this.schedule();
  }

  /** Put plots beside each other, on as many rows as their least widths need; each row is filled by their shares. */
  plots(...all) {
    const rows = [[]];
    let used = 0;
    for (const options of all) {
      const least = Math.min(options.least ?? 220, this.width);
      if (rows.at(-1).length && used + GAP + least > this.width) rows.push([]);
      used = rows.at(-1).length ? used + GAP + least : least;
      rows.at(-1).push(options);
    }
    return rows.flatMap((row) => {
      this.row = html(this.picture, "div", { class: "row" });
      const shares = row.reduce((total, { share = 1 }) => total + share, 0);
      const room = this.width - GAP * (row.length - 1);
      return row.map(({ share = 1, height = 280, ...options }) => {
        const width = Math.floor((room * share) / shares);
        return new Plot(this, width, typeof height === "function" ? height(width) : height, options);
      });
    });
  }

  /** Name the colours below the pictures: entries [name, colour, "line" | "dashed" | "area" | "dot"]. */
  legend(...entries) {
    for (const [name, colour, kind = "line"] of entries) {
      const entry = html(this.key, "span", { class: "entry" });
      html(entry, "span", { class: `swatch ${kind}`, style: `color: ${paint(colour)}` });
      entry.append(name);
    }
  }

  /** What the pointer is over, in words. */
  whisper(text) {
    this.hovered.textContent = text;
  }

  // ---- Buttons and time

  button(text, action) {
    const made = html(this.buttons, "button", { type: "button", text });
    this.on(made, "click", action);
    return made;
  }

  /** Call step(seconds since the last frame) with each frame until it returns false, or pause() is called. */
  play(step) {
    this.plays = { step, last: null };
    this.schedule();
  }

  pause() {
    this.plays?.stopped?.();
    this.plays = null;
  }

  advance(time) {
    const { step, last } = this.plays;
    const seconds = last === null ? 0 : Math.min(0.1, (time - last) / 1000);
    this.plays.last = time;
    if (step(seconds) === false) this.pause();
    else this.schedule();
  }

  /** A button that starts and stops; running says for a screen reader and a reader what a click will do. */
  playButton(text, step) {
    const button = this.button(text, () => {
      if (this.plays) return this.pause();
      this.play(step);
      this.plays.stopped = () => (button.textContent = text);
      button.textContent = "Pause";
    });
    return button;
  }

  share(el) {
    const link = sharer(el);
    if (!link) return;
    this.button("Copy link", async () => {
      const address = link(this.values);
      try {
        await navigator.clipboard.writeText(address);
        this.status.textContent = "The link to this state is copied.";
      } catch {
        this.status.textContent = "The link to this state stands in the address bar.";
      }
    });
  }

  // ---- Coming and going

  watch() {
    this.sizes = new ResizeObserver(([{ contentRect }]) => {
      const width = Math.floor(contentRect.width);
      if (width === this.width || width === 0) return;
      this.width = width;
      this.build();
    });
    this.sizes.observe(this.picture);
  }

  close() {
    this.closing.abort();
    this.building?.abort();
    this.sizes.disconnect();
    this.timers.close();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.saving);
    this.model.off("change:values", this.onValues);
    if (this.unsaved) this.model.save_changes();
    this.root.remove();
  }
}
