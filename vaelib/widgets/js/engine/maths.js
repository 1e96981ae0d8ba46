// Formulas that labs share; vaelib/theory/gaussian.py holds the same ones.

export const LOG_2PI = Math.log(2 * Math.PI);

/** log N(x; mu, sigma²) with log_var = log sigma², in nats. */
export const logNormal = (x, mu, logVar) => -0.5 * (LOG_2PI + logVar + (x - mu) ** 2 / Math.exp(logVar));

/** KL(N(mu, sigma²) ‖ N(0, 1)) in nats. expm1 keeps the digits where the variance is close to 1. */
export const klStandardNormal = (mu, logVar) => 0.5 * (mu * mu + Math.expm1(logVar) - logVar);

/** count values from low to high, as numpy.linspace gives them: the last is exactly high. */
export function linspace(low, high, count) {
  const step = (high - low) / (count - 1);
  return Float64Array.from({ length: count }, (_, i) => (i === count - 1 ? high : low + i * step));
}

export const sum = (values) => values.reduce((total, value) => total + value, 0);

/** log Σ exp(values). */
export function logSumExp(values) {
  const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return top + Math.log(values.reduce((total, value) => total + Math.exp(value - top), 0));
}

const DTYPES = { float64: Float64Array, float32: Float32Array, uint8: Uint8Array, int32: Int32Array };

/** An array as Python packs it: {dtype, shape, base64}, little-endian, the last axis fastest. */
export function unpacked({ dtype, shape, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return Object.assign(new DTYPES[dtype](bytes.buffer), { shape });
}
