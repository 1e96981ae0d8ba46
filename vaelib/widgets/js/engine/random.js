// Random numbers that the browser and Python draw alike: vaelib/widgets/noise.py holds the same generator.

const PER_SEED = 65536; // numbers that each seed has to itself, before it runs into the next one's
const STEP = 0x6d2b79f5;

/** count numbers from the uniform distribution on [0, 1), after the first `start` of this seed (mulberry32). */
export function uniform(seed, count, start = 0) {
  if (start + count > PER_SEED) throw new Error(`a seed has ${PER_SEED} numbers; ${start + count} were asked for`);
  return Float64Array.from({ length: count }, (_, i) => {
    const a = Math.imul(seed * PER_SEED + start + i + 1, STEP);
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  });
}

/** count numbers from N(0, 1), an even number of them (Box and Muller 1958). */
export function normal(seed, count) {
  const u = uniform(seed, count);
  return u.map((_, i) => {
    const [first, second] = i % 2 ? [u[i - 1], u[i]] : [u[i], u[i + 1]];
    return Math.sqrt(-2 * Math.log1p(-first)) * (i % 2 ? Math.sin : Math.cos)(2 * Math.PI * second);
  });
}

/** A function that remembers what it gave for the last seed, since a lab asks with every frame. */
export function remembered(draw) {
  let last, value;
  return (seed) => {
    if (seed !== last) [last, value] = [seed, draw(seed)];
    return value;
  };
}
