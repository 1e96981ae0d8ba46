// One picture: scales, axes with units, and the things drawn between them. Everything is SVG, sharp on any screen, and
// coloured by CSS variables, so that light and dark need no second drawing.

import { contours } from "d3-contour";
import { scaleLinear, scaleLog } from "d3-scale";
import { area, line } from "d3-shape";
import { fixed, html, paint, svg } from "./elements.js";

const MARGIN = { top: 12, right: 14, bottom: 40, left: 46 };
const GRAB = 20; // radius of the place where a handle can be grabbed, CSS pixels: fingers are wide

// A page loads one copy of this module for each of its labs: a count alone would give two of them one name.
const family = Math.random().toString(36).slice(2);
let plots = 0;

export class Plot {
  /**
   * @param stage    the Stage that the plot stands on
   * @param options  x, y: [low, high] of the axes; xLabel, yLabel, title: texts; alt: what the picture shows; height;
   *                 share of the row's width, and least, the width below which it moves to a row of its own;
   *                 xScale, yScale: "linear" or "log"; xTicks, yTicks: a number of ticks or their places;
   *                 xNames, yNames: texts in place of the ticks' numbers, by place; equal: one unit is as long up as across;
   *                 bare: no axes
   */
  constructor(stage, width, height, options) {
    const { x, y, title, xLabel, yLabel } = options;
    const { top } = MARGIN;
    const bottom = xLabel || options.xTicks !== 0 ? MARGIN.bottom - (xLabel ? 0 : 14) : 12;
    const left = yLabel || options.yTicks !== 0 ? MARGIN.left + (yLabel ? 12 : 0) + (options.roomLeft ?? 0) : 12;
    this.stage = stage;
    this.options = options;
    this.box = { left, top, right: width - MARGIN.right, bottom: height - bottom };
    if (options.equal) this.square(x, y);
    const kind = { linear: scaleLinear, log: scaleLog };
    this.x = kind[options.xScale ?? "linear"](x, [this.box.left, this.box.right]);
    this.y = kind[options.yScale ?? "linear"](y, [this.box.bottom, this.box.top]);
    const cell = html(stage.row, "div", { class: "cell", style: `width: ${width}px` });
    if (title) html(cell, "div", { class: "title", text: title });
    this.node = svg(cell, "svg", {
      class: "plot", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": options.alt ?? title,
    });
    const id = `vaelib-clip-${family}-${++plots}`;
    const clip = svg(svg(this.node, "defs"), "clipPath", { id });
    svg(clip, "rect", this.rect());
    this.ground = svg(this.node, "g");
    this.marks = svg(this.node, "g", { "clip-path": `url(#${id})` });
    this.front = svg(this.node, "g");
    this.axes(options);
  }

  rect(pad = 0) {
    const { left, top, right, bottom } = this.box;
    return { x: left - pad, y: top - pad, width: Math.max(0, right - left) + 2 * pad, height: Math.max(0, bottom - top) + 2 * pad };
  }

  /** Give an axis another range; what is drawn after this follows it. */
  rangeX(low, high) {
    this.range(this.x, low, high);
  }

  rangeY(low, high) {
    this.range(this.y, low, high);
  }

  range(scale, low, high) {
    const [was, wasHigh] = scale.domain();
    if (low === was && high === wasHigh) return;
    scale.domain([low, high]);
    this.ground.querySelector(".axes").remove();
    this.axes(this.options);
  }

  /** Shrink the box so that one unit is as long up as across. */
  square([x0, x1], [y0, y1]) {
    const { left, top, right, bottom } = this.box;
    const unit = Math.min((right - left) / (x1 - x0), (bottom - top) / (y1 - y0));
    this.box.right = left + unit * (x1 - x0);
    this.box.bottom = top + unit * (y1 - y0);
  }

  axes({ xLabel, yLabel, xTicks, yTicks, xNames, yNames, xScale, yScale, bare }) {
    if (bare) return;
    const { left, top, right, bottom } = this.box;
    const g = svg(this.ground, "g", { class: "axes", "aria-hidden": "true" });
    svg(g, "path", { d: `M${left},${top}V${bottom}H${right}` });
    const across = ticks(this.x, xTicks, xScale, (right - left) / 70);
    const up = ticks(this.y, yTicks, yScale, (bottom - top) / 45);
    for (const { place, text } of across) {
      const at = this.x(place);
      svg(g, "path", { d: `M${at},${bottom}v5` });
      svg(g, "text", { x: at, y: bottom + 18, "text-anchor": "middle", text: xNames?.[place] ?? text });
    }
    for (const { place, text } of up) {
      const at = this.y(place);
      svg(g, "path", { d: `M${left},${at}h-5` });
      svg(g, "text", { x: left - 8, y: at + 4, "text-anchor": "end", text: yNames?.[place] ?? text });
    }
    const middle = (left + right) / 2;
    if (xLabel) svg(g, "text", { class: "label", x: middle, y: bottom + 35, "text-anchor": "middle", text: xLabel });
    if (yLabel) {
      const y = (top + bottom) / 2;
      svg(g, "text", { class: "label", x: 13, y, "text-anchor": "middle", transform: `rotate(-90 13 ${y})`, text: yLabel });
    }
  }

  // ---- What moves: each of these makes a mark and returns the function that draws it at new places.

  /** A curve through (xs[i], ys[i]); where y is not finite it breaks. */
  curve({ colour, width = 2, dash = "" }) {
    const path = svg(this.marks, "path", { class: "curve", stroke: paint(colour), "stroke-width": width, "stroke-dasharray": dash });
    const draw = (xs, ys) => {
      const shape = line().defined(Number.isFinite).x((_, i) => this.x(xs[i])).y((y) => this.y(y));
      path.setAttribute("d", shape(ys) ?? "");
    };
    return Object.assign(draw, { node: path });
  }

  /** The area between a curve and another one, or a number. */
  area({ colour, opacity = 0.25 }) {
    const path = svg(this.marks, "path", { fill: paint(colour), "fill-opacity": opacity });
    const draw = (xs, ys, floor = 0) => {
      const low = (i) => this.y(typeof floor === "number" ? floor : floor[i]);
      const shape = area().defined(Number.isFinite).x((_, i) => this.x(xs[i])).y0((_, i) => low(i)).y1((y) => this.y(y));
      path.setAttribute("d", shape(ys) ?? "");
    };
    return Object.assign(draw, { node: path });
  }

  /** A rectangle from (x0, y0) to (x1, y1), in the units of the axes. */
  bar({ colour, opacity = 1 }) {
    const rect = svg(this.marks, "rect", { fill: paint(colour), "fill-opacity": opacity });
    const draw = (x0, x1, y0, y1) => {
      const [left, right] = [this.x(x0), this.x(x1)].sort((a, b) => a - b);
      const [top, bottom] = [this.y(y0), this.y(y1)].sort((a, b) => a - b);
      for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) {
        rect.setAttribute(name, value);
      }
    };
    return Object.assign(draw, { node: rect });
  }

  /** Dots at (xs[i], ys[i]), one path for all of them. */
  dots({ colour, radius = 3, opacity = 0.7 }) {
    const path = svg(this.marks, "path", {
      class: "dots", stroke: paint(colour), "stroke-width": 2 * radius, "stroke-opacity": opacity,
    });
    return (xs, ys) => path.setAttribute("d", Array.from(xs, (x, i) => `M${this.x(x)},${this.y(ys[i])}h0`).join(""));
  }

  /** A straight line across the whole picture at x = place (axis "x") or y = place (axis "y"). */
  rule({ colour, axis = "x", width = 1.5, dash = "" }) {
    const path = svg(this.marks, "path", { class: "curve", stroke: paint(colour), "stroke-width": width, "stroke-dasharray": dash });
    const { left, top, right, bottom } = this.box;
    const draw = (place) => path.setAttribute("d", axis === "x" ? `M${this.x(place)},${top}V${bottom}` : `M${left},${this.y(place)}H${right}`);
    return Object.assign(draw, { node: path });
  }

  /** An arrow from (x0, y0) to (x1, y1); one too short for its head is not drawn. */
  arrow({ colour, width = 2, head = 9 }) {
    const path = svg(this.marks, "path", { stroke: paint(colour), "stroke-width": width, fill: paint(colour), "stroke-linejoin": "round" });
    return (x0, y0, x1, y1) => {
      const [ax, ay, bx, by] = [this.x(x0), this.y(y0), this.x(x1), this.y(y1)];
      const length = Math.hypot(bx - ax, by - ay);
      const [ux, uy] = [(bx - ax) / length, (by - ay) / length];
      const [cx, cy] = [bx - head * ux, by - head * uy];
      const wing = 0.45 * head;
      const d = `M${ax},${ay}L${cx},${cy}M${bx},${by}L${cx - wing * uy},${cy + wing * ux}L${cx + wing * uy},${cy - wing * ux}Z`;
      path.setAttribute("d", length < 2 ? "" : d);
    };
  }

  /**
   * Contours of a grid: values[row * xs.length + column] at (xs[column], ys[row]), both evenly spaced, both rising. The
   * drawing function takes as many other levels where they change.
   */
  contour({ colour, levels, width = 1, filled = false, opacity = 1 }) {
    const g = svg(this.marks, "g", filled ? { fill: paint(colour), "fill-opacity": opacity } : { class: "curve", stroke: paint(colour), "stroke-width": width, "stroke-opacity": opacity });
    const paths = levels.map(() => svg(g, "path"));
    return (xs, ys, values, now = levels) => {
      const shape = contours().size([xs.length, ys.length]);
      const [dx, dy] = [xs[1] - xs[0], ys[1] - ys[0]];
      // d3 puts the first cell's middle at ½.
      const place = ([i, j]) => `${this.x(xs[0] + (i - 0.5) * dx).toFixed(2)},${this.y(ys[0] + (j - 0.5) * dy).toFixed(2)}`;
      now.forEach((level, k) => {
        const rings = shape.contour(values, level).coordinates.flat();
        paths[k].setAttribute("d", rings.map((ring) => `M${ring.map(place).join("L")}Z`).join(""));
      });
    };
  }

  /** A text at (x, y), moved by (dx, dy) CSS pixels. */
  text({ colour = "ink", anchor = "middle", dx = 0, dy = 0, size = 12, bold = false }) {
    const node = svg(this.front, "text", {
      class: "note", fill: paint(colour), "text-anchor": anchor, "font-size": size, "font-weight": bold ? 600 : 400,
    });
    let by = { anchor, dx, dy };
    const draw = (text, x, y) => {
      node.textContent = text;
      node.setAttribute("text-anchor", by.anchor);
      node.setAttribute("x", this.x(x) + by.dx);
      node.setAttribute("y", this.y(y) + by.dy);
    };
    return Object.assign(draw, { node, place: (other) => (by = { ...by, ...other }) });
  }

  /** An image of grey or coloured pixels between two corners; draw it with a function from pixel number to 0..255. */
  image({ width, height, channels = 1, smooth = false, alt = "" }) {
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const node = svg(this.marks, "image", { preserveAspectRatio: "none", class: smooth ? "" : "sharp", ...(alt ? { "aria-label": alt, role: "img" } : { "aria-hidden": "true" }) });
    const draw = ([x0, x1], [y0, y1], pixelAt) => {
      const pen = canvas.getContext("2d");
      const data = pen.createImageData(width, height);
      for (let i = 0; i < width * height; i++) {
        for (let k = 0; k < 3; k++) data.data[4 * i + k] = pixelAt(channels === 3 ? 3 * i + k : i);
        data.data[4 * i + 3] = 255;
      }
      pen.putImageData(data, 0, 0);
      this.putImage(node, canvas.toDataURL(), [x0, x1], [y0, y1]);
    };
    return Object.assign(draw, { node });
  }

  /** An image that is a file already; draw it with its address, "data:image/png;base64,...", between two corners. */
  imageFile() {
    const node = svg(this.marks, "image", { preserveAspectRatio: "none", class: "sharp", "aria-hidden": "true" });
    return (href, [x0, x1], [y0, y1]) => this.putImage(node, href, [x0, x1], [y0, y1]);
  }

  putImage(node, href, [x0, x1], [y0, y1]) {
    const [left, right] = [this.x(x0), this.x(x1)];
    const [bottom, top] = [this.y(y0), this.y(y1)];
    const place = { x: left, y: top, width: right - left, height: bottom - top, href };
    for (const [name, value] of Object.entries(place)) node.setAttribute(name, value);
  }

  // ---- What the reader takes hold of

  /**
   * A handle to drag, with the mouse, a finger or the arrow keys.
   *
   * @param options  label: what it is, for screen readers; colour; moves: { across, up }, the controls that the arrow
   *                 keys move; turned: those of them that fall where the handle rises;
   *                 drag: function from (x, y) in the axes' units to the controls' new values;
   *                 cursor: "ew-resize" and the like; shape: "circle" or "none" (only the place to grab, on hover a ring)
   * @returns function (x, y) that puts it at a place
   */
  handle({ label, colour, moves, turned = [], drag, cursor = "grab", radius = 7 }) {
    const { stage } = this;
    const node = svg(this.front, "g", {
      class: "handle", tabindex: 0, role: "slider", "aria-label": label, style: `cursor: ${cursor}; color: ${paint(colour)}`,
    });
    svg(node, "circle", { class: "grab", r: GRAB });
    svg(node, "circle", { class: "knob", r: radius });
    const at = (event) => {
      const from = this.node.getBoundingClientRect();
      const across = ((event.clientX - from.left) * this.node.viewBox.baseVal.width) / from.width;
      const up = ((event.clientY - from.top) * this.node.viewBox.baseVal.height) / from.height;
      return [this.x.invert(across), this.y.invert(up)];
    };
    let offset = [0, 0]; // a handle does not jump to the finger that takes it beside its middle
    let place = [0, 0];
    stage.onPicture(node, "pointerdown", (event) => {
      if (event.button !== 0) return;
      const [x, y] = at(event);
      offset = [place[0] - x, place[1] - y];
      node.setPointerCapture(event.pointerId);
      node.focus({ preventScroll: true });
      event.preventDefault();
    });
    stage.onPicture(node, "pointermove", (event) => {
      if (!node.hasPointerCapture(event.pointerId)) return;
      const [x, y] = at(event);
      stage.set(drag(x + offset[0], y + offset[1]));
    });
    stage.onPicture(node, "keydown", (event) => {
      const KEYS = { ArrowLeft: ["across", -1], ArrowRight: ["across", 1], ArrowDown: ["up", -1], ArrowUp: ["up", 1] };
      if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
      const [direction, sign] = KEYS[event.key];
      // A handle with one control listens to all four keys.
      const name = moves[direction] ?? moves[direction === "up" ? "across" : "up"];
      event.preventDefault(); // the page would scroll
      stage.nudge(name, turned.includes(name) ? -sign : sign, event.shiftKey);
    });
    stage.announce(node, Object.values(moves));
    return (x, y) => {
      place = [x, y];
      const { left, top, right, bottom } = this.box;
      const px = Math.min(right, Math.max(left, this.x(x)));
      const py = Math.min(bottom, Math.max(top, this.y(y)));
      node.setAttribute("transform", `translate(${px},${py})`);
    };
  }

  /**
   * Call action(x, y, begins) while the pointer is pressed over the picture: the whole of it is a thing to draw on;
   * begins says whether the pointer has just come down.
   */
  press(action) {
    this.node.style.touchAction = "none";
    const at = (event) => {
      const from = this.node.getBoundingClientRect();
      action(this.x.invert(event.clientX - from.left), this.y.invert(event.clientY - from.top), event.type === "pointerdown");
    };
    this.stage.onPicture(this.node, "pointerdown", (event) => {
      if (event.button !== 0 || event.target.closest(".handle")) return;
      this.node.setPointerCapture(event.pointerId);
      at(event);
    });
    this.stage.onPicture(this.node, "pointermove", (event) => this.node.hasPointerCapture(event.pointerId) && at(event));
  }

  /** Call text(x, y) where the pointer is, and show what it returns under the pictures, with a line at x; a cross on a plane. */
  hover(text, { plane = false } = {}) {
    this.stage.hovered.hidden = false; // its line stays free, so that nothing below jumps
    const line = svg(this.front, "path", { class: "cursor" });
    const { left, top, right, bottom } = this.box;
    const leave = () => {
      line.setAttribute("d", "");
      this.stage.whisper("");
    };
    this.stage.onPicture(this.node, "pointermove", (event) => {
      const from = this.node.getBoundingClientRect();
      const across = event.clientX - from.left;
      const up = event.clientY - from.top;
      if (across < left || across > right || up < top || up > bottom) return leave();
      line.setAttribute("d", `M${across},${top}V${bottom}` + (plane ? `M${left},${up}H${right}` : ""));
      this.stage.whisper(text(this.x.invert(across), this.y.invert(up)));
    });
    this.stage.onPicture(this.node, "pointerleave", leave);
  }
}

function ticks(scale, wanted, kind, room) {
  if (Array.isArray(wanted)) return wanted.map((place) => ({ place, text: plain(place) }));
  const count = wanted ?? Math.max(2, Math.floor(room));
  if (count === 0) return [];
  const places = scale.ticks(count);
  if (kind !== "log") {
    const large = Math.max(...places.map(Math.abs)) >= 1e4; // with k or M, for want of room
    const shown = scale.tickFormat(count, large ? "~s" : undefined);
    return places.map((place) => ({ place, text: place === 0 ? "0" : shown(place) }));
  }
  // A logarithmic axis names the powers of ten, and between them only where there is room.
  const powers = places.filter((place) => Number.isInteger(Math.round(1e9 * Math.log10(place)) / 1e9));
  return (powers.length > 1 ? powers : places).map((place) => ({ place, text: plain(place) }));
}

const plain = (x) => (Math.abs(x) >= 1e5 || (x !== 0 && Math.abs(x) < 1e-3) ? x.toExponential(0) : String(Number(fixed(x, 6).replace("−", "-")))).replace("-", "−");
