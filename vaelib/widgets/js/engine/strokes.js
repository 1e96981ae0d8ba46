// From pen strokes to an image like those of MNIST: the same as vaelib/widgets/strokes.py, where the reasons stand.

export const SIDE = 28;
const BOX = 20;
const FINE = 4;

/** The share of each pixel that the pen covers, for points at scale * point + shift. */
function inkOf(strokes, scale, [shiftX, shiftY], radius) {
  const count = SIDE * FINE;
  const nearest = new Float64Array(count * count).fill(Infinity);
  const far = scale * radius + 1; // samples beyond hold no ink of this segment
  const first = (low) => Math.max(0, Math.floor((low - far) * FINE));
  const last = (high) => Math.min(count - 1, Math.ceil((high + far) * FINE));
  for (const stroke of strokes) {
    const places = stroke.map(([x, y]) => [scale * x + shiftX, scale * y + shiftY]);
    for (let k = 0; k < Math.max(1, places.length - 1); k++) {
      const [ax, ay] = places[k];
      const [bx, by] = places[Math.min(k + 1, places.length - 1)];
      const dx = bx - ax;
      const dy = by - ay;
      const length = dx * dx + dy * dy;
      for (let i = first(Math.min(ay, by)); i <= last(Math.max(ay, by)); i++) {
        const y = (i + 0.5) / FINE;
        for (let j = first(Math.min(ax, bx)); j <= last(Math.max(ax, bx)); j++) {
          const x = (j + 0.5) / FINE;
          const t = length ? Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length)) : 0;
          const distance = (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2;
          if (distance < nearest[i * count + j]) nearest[i * count + j] = distance;
        }
      }
    }
  }
  const ink = new Float64Array(SIDE * SIDE);
  nearest.forEach((distance, at) => {
    const covered = (scale * radius - Math.sqrt(distance)) * FINE + 0.5;
    const pixel = Math.floor(at / count / FINE) * SIDE + Math.floor((at % count) / FINE);
    ink[pixel] += Math.min(1, Math.max(0, covered)) / FINE ** 2;
  });
  return ink;
}

/** The drawing as 784 whole numbers from 0 to 255. */
export function imageOf(strokes, radius) {
  const points = strokes.flat();
  if (!points.length) return new Array(SIDE * SIDE).fill(0);
  const [lowX, lowY] = [0, 1].map((axis) => Math.min(...points.map((p) => p[axis])) - radius);
  const [highX, highY] = [0, 1].map((axis) => Math.max(...points.map((p) => p[axis])) + radius);
  const scale = BOX / Math.max(highX - lowX, highY - lowY);
  const shift = [SIDE / 2 - (scale * (lowX + highX)) / 2, SIDE / 2 - (scale * (lowY + highY)) / 2];
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
