"""Convolutions in NumPy: one matrix product per place of the kernel, over all pixels at once."""

import math

import numpy as np


class Convolution:
    """A convolution over images, or a transposed one, as Keras computes them: channels last, kernel not flipped.

    With s the stride and o the padding in front, a plain one gives out[i] = bias + sum_k h[s i + k - o] kernel[k],
    a transposed one adds h[i] kernel[k] to out[s i + k - o]. Source: Dumoulin and Visin 2016, sections 2 and 4.

    Args:
        kernel: array of shape (height, width, channels in, channels out), for a transposed convolution too.
        bias: array of shape (channels out,).
        strides: (down, across), whole numbers.
        padding: "same" or "valid".
        transpose: whether it is a transposed convolution.
    """

    def __init__(self, kernel, bias, strides=(1, 1), padding="same", transpose=False):
        self.kernel, self.bias = kernel, bias
        self.strides, self.padding, self.transpose = tuple(strides), padding, bool(transpose)

    @property
    def num_weights(self):
        return self.kernel.size + self.bias.size

    def geometry(self, size):
        """Return the output's size and the padding in front, each (down, across), for inputs of a size."""
        return zip(*map(self._along, size, self.kernel.shape[:2], self.strides), strict=True)

    def __call__(self, h):
        """Return the images, shape (n, height, width, channels out), for h of shape (n, height, width, channels)."""
        size = h.shape[1:3]
        (height, width), (top, left) = self.geometry(size)
        (down, across), (rows, columns) = self.strides, self.kernel.shape[:2]
        # What an image meets beyond its edges: zeros before a plain convolution, a rim to cut off after a transposed.
        wide = (size, (height, width))[self.transpose]
        need = ((height, width), size)[self.transpose]  # the places where the kernel is laid down
        full_size = [max(p + w, (n - 1) * s + k) for p, w, n, s, k in
                     zip((top, left), wide, need, self.strides, (rows, columns), strict=True)]  # fmt: skip
        out_of = self.kernel.shape[3] if self.transpose else h.shape[3]
        full = np.zeros((len(h), *full_size, out_of), h.dtype)
        inside = full[:, top : top + wide[0], left : left + wide[1]]
        if not self.transpose:
            inside[...] = h
        out = np.zeros((len(h), height, width, self.kernel.shape[3]), h.dtype)
        for a in range(rows):
            for b in range(columns):
                at = full[:, a : a + (need[0] - 1) * down + 1 : down, b : b + (need[1] - 1) * across + 1 : across]
                if self.transpose:
                    at += h @ self.kernel[a, b]
                else:
                    out += at @ self.kernel[a, b]
        return (inside if self.transpose else out) + self.bias

    def _along(self, size, kernel, stride):
        """Return the output's size along one axis, and how much of the padding stands in front."""
        if self.transpose:
            extra = max(kernel - stride, 0)
            return (size * stride, extra // 2) if self.padding == "same" else (size * stride + extra, 0)
        if self.padding == "valid":
            return (size - kernel) // stride + 1, 0
        out = math.ceil(size / stride)
        return out, max((out - 1) * stride + kernel - size, 0) // 2
