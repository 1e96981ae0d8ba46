// The forward pass of dense and convolutional networks; vaelib/pretrained/networks.py has the same.

export const sigmoid = (x) => 1 / (1 + Math.exp(-x));

// Abramowitz and Stegun 1964, formula 7.1.26: the error is below 1.5e-7, that of float32.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - tail * Math.exp(-x * x));
}

// The same names and defaults as ACTIVATIONS in vaelib/pretrained/networks.py.
const ACTIVATIONS = {
  linear: (x) => x,
  relu: (x) => Math.max(x, 0),
  tanh: Math.tanh,
  sigmoid,
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  silu: (x) => x * sigmoid(x),
  leaky_relu: (x) => (x > 0 ? x : 0.2 * x),
};

// A copy, because the bytes of a message may begin at an address that no Float32Array can begin at.
export const copied = (view) => view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

/** Build the function from a code to the likelihood's parameters. */
export function network(spec, view) {
  const bytes = copied(view);
  const half = spec.dtype === "float16";
  const numbers = half ? Float32Array.from(new Uint16Array(bytes), fromHalf) : new Float32Array(bytes);
  let offset = 0;
  const take = (count) => numbers.subarray(offset, (offset += count));
  const layers = spec.layers.map((layer) => {
    if (layer.places) return moved(layer.places);
    if (layer.convolution) return convolved(layer, take);
    if (layer.inputs) return dense(take(layer.inputs * layer.outputs), take(layer.outputs));
    const activation = ACTIVATIONS[layer.activation];
    if (!activation) throw new Error(`unknown activation ${layer.activation}`);
    return (h) => h.map(activation);
  });
  if (offset !== numbers.length) throw new Error(`${offset} weights expected, ${numbers.length} received`);
  return (z) => layers.reduce((h, layer) => layer(h), Float32Array.from(z));
}

/** Add value times a row of the kernel, which begins at `row`, to out, which begins at `at`. */
function addRow(out, at, value, kernel, row, width) {
  for (let j = 0; j < width; j++) out[at + j] += value * kernel[row + j];
}

const dense = (kernel, bias) => (h) => {
  const next = bias.slice();
  const width = next.length;
  // After a relu half of the values are zero.
  for (let i = 0; i < h.length; i++) if (h[i] !== 0) addRow(next, 0, h[i], kernel, i * width, width);
  return next;
};

// Places count from 1; place 0 holds a zero.
const moved = (places) => (h) => Float32Array.from(places, (place) => (place ? h[place - 1] : 0));

/** A convolution, or a transposed one: vaelib/pretrained/convolutions.py has the formulas. */
function convolved({ convolution, input, output, kernel: [rows, columns], strides, before }, take) {
  const transposed = convolution === "transposed";
  const [height, width, from] = input;
  const [tall, wide, to] = output;
  const kernel = take(rows * columns * from * to);
  const bias = take(to);
  return (h) => {
    const next = new Float32Array(tall * wide * to);
    for (let at = 0; at < next.length; at += to) next.set(bias, at);
    const add = (inRow, inColumn, outRow, outColumn, place) => {
      const start = (inRow * width + inColumn) * from;
      const at = (outRow * wide + outColumn) * to;
      for (let k = 0; k < from; k++) {
        if (h[start + k] !== 0) addRow(next, at, h[start + k], kernel, (place * from + k) * to, to);
      }
    };
    for (let i = 0; i < (transposed ? height : tall); i++) {
      for (let j = 0; j < (transposed ? width : wide); j++) {
        for (let a = 0; a < rows; a++) {
          for (let b = 0; b < columns; b++) {
            const y = strides[0] * i + a - before[0];
            const x = strides[1] * j + b - before[1];
            if (y < 0 || x < 0) continue;
            if (transposed && y < tall && x < wide) add(i, j, y, x, a * columns + b);
            if (!transposed && y < height && x < width) add(y, x, i, j, a * columns + b);
          }
        }
      }
    }
    return next;
  };
}
