// From pen strokes to an image like those of a data set: the same as vaelib/widgets/strokes.py, where the reasons stand.

export const SIDE = 28;
const BOX = 20;
const FINE = 4;
const SMALL_SIDE = 8;
const SMALL_LEVELS = 16;

/** The share of each pixel that the pen covers, for points at scale * point + shift. */
function inkOf(strokes, scale, [shiftX, shiftY], radius, side = SIDE, fine = FINE) {
  const count = side * fine;
  const nearest = new Float64Array(count * count).fill(Infinity);
  const far = scale * radius + 1; // samples beyond hold no ink of this segment
  const first = (low) => Math.max(0, Math.floor((low - far) * fine));
  const last = (high) => Math.min(count - 1, Math.ceil((high + far) * fine));
  for (const stroke of strokes) {
    const places = stroke.map(([x, y]) => [scale * x + shiftX, scale * y + shiftY]);
    for (let k = 0; k < Math.max(1, places.length - 1); k++) {
      const [ax, ay] = places[k];
      const [bx, by] = places[Math.min(k + 1, places.length - 1)];
      const dx = bx - ax;
      const dy = by - ay;
      const length = dx * dx + dy * dy;
      for (let i = first(Math.min(ay, by)); i <= last(Math.max(ay, by)); i++) {
        const y = (i + 0.5) / fine;
        for (let j = first(Math.min(ax, bx)); j <= last(Math.max(ax, bx)); j++) {
          const x = (j + 0.5) / fine;
          const t = length ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length)) : 0;
          const distance = (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2;
          if (distance < nearest[i * count + j]) nearest[i * count + j] = distance;
        }
      }
    }
  }
  const ink = new Float64Array(side * side);
  nearest.forEach((distance, at) => {
    const covered = (scale * radius - Math.sqrt(distance)) * fine + 0.5;
    const pixel = Math.floor(at / count / fine) * side + Math.floor((at % count) / fine);
    ink[pixel] += Math.min(1, Math.max(0, covered)) / fine ** 2;
  });
  return ink;
}

/** The scale and shift that bring the ink into the middle of the image, its longer side as long as the box. */
function fitted(strokes, radius, box, side) {
  const points = strokes.flat();
  const [lowX, lowY] = [0, 1].map((axis) => Math.min(...points.map((p) => p[axis])) - radius);
  const [highX, highY] = [0, 1].map((axis) => Math.max(...points.map((p) => p[axis])) + radius);
  const scale = box / Math.max(highX - lowX, highY - lowY);
  return [scale, [side / 2 - (scale * (lowX + highX)) / 2, side / 2 - (scale * (lowY + highY)) / 2]];
}

/** The drawing as 784 whole numbers from 0 to 255. */
export function imageOf(strokes, radius) {
  if (!strokes.flat().length) return new Array(SIDE * SIDE).fill(0);
  const [scale, shift] = fitted(strokes, radius, BOX, SIDE);
  const ink = inkOf(strokes, scale, shift, radius);
  let [mass, x, y] = [0, 0, 0];
  ink.forEach((value, i) => {
    mass += value;
    x += value * ((i % SIDE) + 0.5);
    y += value * (Math.floor(i / SIDE) + 0.5);
  });
  const centred = inkOf(strokes, scale, [shift[0] + 14.5 - x / mass, shift[1] + 14.5 - y / mass], radius);
  return Array.from(centred, (value) => Math.floor(255 * value + 0.5));
}

/** The drawing as the small digits are: 64 multiples of 1/16. */
export function smallImageOf(strokes, radius) {
  if (!strokes.flat().length) return new Array(SMALL_SIDE ** 2).fill(0);
  const [scale, shift] = fitted(strokes, radius, SMALL_SIDE, SMALL_SIDE);
  const ink = inkOf(strokes, scale, shift, radius, SMALL_SIDE, FINE ** 2);
  return Array.from(ink, (value) => Math.floor(SMALL_LEVELS * value + 0.5) / SMALL_LEVELS);
}

// ---- A drawing as a text: four digits a point, x and y in hundredths, "-" between strokes

const hundredths = (x) => String(Math.min(99, Math.max(0, Math.round(100 * x)))).padStart(2, "0");

export const textOf = (strokes) => strokes.map((stroke) => stroke.map(([x, y]) => hundredths(x) + hundredths(y)).join("")).join("-");

export const strokesOf = (text) =>
  text.split("-").filter(Boolean).map((stroke) => stroke.match(/\d{4}/g).map((point) => [Number(point.slice(0, 2)) / 100, Number(point.slice(2)) / 100]));

export const isDrawing = (text) => typeof text === "string" && /^((\d{4})+(-(\d{4})+)*)?$/.test(text);

// The reader's drawing goes from lesson to lesson, and never leaves the browser.
const KEY = "vaelib-drawing";

/** The drawing that was kept; "" where there is none, or where the browser keeps nothing. */
export function keptDrawing() {
  try {
    const text = localStorage.getItem(KEY);
    return isDrawing(text) ? text : "";
  } catch {
    return "";
  }
}

export function keepDrawing(text) {
  try {
    localStorage.setItem(KEY, text);
  } catch {
    // A page that may keep nothing still draws.
  }
}
