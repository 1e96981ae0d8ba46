// A video under the pad: its path coloured by time, its frames, the one whose code is nearest.

import { copied } from "./network.js";

export const FRAME_TIME = 40; // milliseconds

/** Path and frames as the model holds them; null where the pad has no path. */
export function filmOf(model) {
  const spec = model.get("spec");
  const codes = new Float32Array(copied(model.get("path")));
  const size = spec.axes[0].length;
  const count = codes.length / size;
  if (!count) return null;
  const pixels = new Uint8Array(copied(model.get("frames")));
  const length = spec.height * spec.width * spec.channels;
  const code = (i) => Array.from(codes.subarray(i * size, (i + 1) * size));
  return {
    count,
    code,
    hasFrames: pixels.length > 0,
    frame: (i) => pixels.subarray(i * length, (i + 1) * length),
    /** The number of the frame whose code is nearest to z, and how far away it is. */
    nearest(z) {
      let [best, least] = [0, Infinity];
      for (let i = 0; i < count; i++) {
        let distance = 0;
        for (let k = 0; k < size; k++) distance += (codes[i * size + k] - z[k]) ** 2;
        if (distance < least) [best, least] = [i, distance];
      }
      return [best, Math.sqrt(least)];
    },
  };
}

/** Whether a colour of the form #rrggbb or rgb(...) is a dark one. */
export function isDark(colour) {
  const parts = colour.startsWith("#")
    ? [1, 3, 5].map((i) => parseInt(colour.length < 7 ? colour[(i + 1) / 2].repeat(2) : colour.slice(i, i + 2), 16))
    : (colour.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
  return 0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2] < 128;
}

/** Draw the path from early to late, thin where it jumps, and a dot for each frame. */
export function drawFilm(pen, position, ratio, film, colours) {
  const places = Array.from({ length: film.count }, (_, i) => position(film.code(i)));
  const colourAt = (i) => colours[Math.min(colours.length - 1, Math.floor((i / film.count) * colours.length))];
  pen.lineWidth = 0.75 * ratio;
  pen.globalAlpha = 0.3;
  for (let i = 1; i < places.length; i++) {
    pen.strokeStyle = colourAt(i);
    pen.beginPath();
    pen.moveTo(...places[i - 1]);
    pen.lineTo(...places[i]);
    pen.stroke();
  }
  pen.globalAlpha = 0.85;
  places.forEach(([x, y], i) => {
    pen.fillStyle = colourAt(i);
    pen.fillRect(x - 1.2 * ratio, y - 1.2 * ratio, 2.4 * ratio, 2.4 * ratio);
  });
}
