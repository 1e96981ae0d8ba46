// Small helpers around the page's elements and time.

const SVG = "http://www.w3.org/2000/svg";

function dressed(made, parent, attributes) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  parent?.append(made);
  return made;
}

/** Make an HTML element inside parent; "text" among the attributes is its content. */
export function html(parent, tag, { text, ...attributes } = {}) {
  const made = dressed(document.createElement(tag), parent, attributes);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Make an SVG element inside parent; "text" among the attributes is its content. */
export function svg(parent, tag, { text, ...attributes } = {}) {
  const made = dressed(document.createElementNS(SVG, tag), parent, attributes);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A number for readers: fixed places, a true minus sign, and no minus before zero. */
export const fixed = (x, places = 3) => {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "undefined" : x > 0 ? "∞" : "−∞";
  const text = x.toFixed(places);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
};

/** As fixed, with a plus sign before what is above zero. */
export const signed = (x, places = 3) => (x > 0 && Number(x.toFixed(places)) !== 0 ? "+" : "") + fixed(x, places);

/** Colours are named as in vaelib/teaching/palette.py and follow the theme. */
export const paint = (colour) => (colour.startsWith("#") ? colour : `var(--${colour})`);

/** One timer per name: a new one replaces the old one. */
export function namedTimers() {
  const timers = {};
  const clear = (name) => clearTimeout(timers[name]);
  const later = (name, delay, action) => {
    clear(name);
    timers[name] = setTimeout(action, delay);
  };
  return { later, clear, close: () => Object.keys(timers).forEach(clear) };
}

// The notebook has keys of its own, which would move to another cell or edit it: those pressed here are not for it.
const OURS = new Set(["ArrowLeft", "ArrowRight", "ArrowDown", "ArrowUp", "Home", "End", "PageUp", "PageDown", "Enter", " "]);
export const keepKeys = (on, root) => on(root, "keydown", (event) => OURS.has(event.key) && event.stopPropagation());
