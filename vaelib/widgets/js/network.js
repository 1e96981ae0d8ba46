// The forward pass of dense networks. Python puts this file in front of each widget's own: one module, no imports.

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

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
const copied = (view) => view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

/** Build the function from a code to the likelihood's parameters. */
function network(spec, view) {
  const bytes = copied(view);
  const numbers = spec.dtype === "float16" ? Float32Array.from(new Uint16Array(bytes), fromHalf) : new Float32Array(bytes);
  let offset = 0;
  const take = (count) => numbers.subarray(offset, (offset += count));
  const layers = spec.layers.map((layer) => {
    if (layer.activation === undefined) {
      return { kernel: take(layer.inputs * layer.outputs), bias: take(layer.outputs) };
    }
    if (!(layer.activation in ACTIVATIONS)) throw new Error(`unknown activation ${layer.activation}`);
    return { activation: ACTIVATIONS[layer.activation] };
  });
  if (offset !== numbers.length) throw new Error(`${offset} weights expected, ${numbers.length} received`);
  return (z) => {
    let h = Float32Array.from(z);
    for (const { kernel, bias, activation } of layers) {
      if (activation) {
        h = h.map(activation);
        continue;
      }
      const next = bias.slice();
      const width = next.length;
      for (let i = 0; i < h.length; i++) {
        const value = h[i];
        if (value === 0) continue; // after a relu, half of them
        const row = i * width;
        for (let j = 0; j < width; j++) next[j] += value * kernel[row + j];
      }
      h = next;
    }
    return h;
  };
}
