// Lesson 01: one point in the latent planes of two models. vaelib/widgets/latent_codes_lab.py holds the same.

import { fixed } from "../engine/elements.js";
import { unpacked } from "../engine/maths.js";
import { networks } from "./small_vae.js";

/** The training image most like an image: its place in the list, and how far it is. */
function nearestOf(image, images) {
  let [best, least] = [0, Infinity];
  for (let n = 0; n * image.length < images.length; n++) {
    let total = 0;
    for (let j = 0; j < image.length; j++) total += (images[n * image.length + j] - image[j]) ** 2;
    if (total < least) [best, least] = [n, total];
  }
  return [best, Math.sqrt(least)];
}

export default {
  prepare(data) {
    const models = data.models.map((model) => {
      const codes = unpacked(model.codes);
      const xs = codes.filter((_, i) => i % 2 === 0);
      return { ...model, xs, ys: codes.filter((_, i) => i % 2 === 1), decode: networks(model.decoder).decode };
    });
    const images = Float64Array.from(unpacked(data.images), (grey) => grey / data.levels);
    return { ...data, models, images, labels: unpacked(data.labels) };
  },

  numbers({ models, images, labels }, { z1, z2 }) {
    const now = { z: [], image: [], nearest: [], label: [], distance: [] };
    for (const { mean, std, decode } of models) {
      const z = [mean[0] + std[0] * z1, mean[1] + std[1] * z2];
      const image = decode(z);
      const [nearest, distance] = nearestOf(image, images);
      const found = { z, image: Array.from(image), nearest, label: labels[nearest], distance };
      for (const [name, value] of Object.entries(found)) now[name].push(value);
    }
    return now;
  },

  draw(stage, { models, images, labels, shape: [height, width], colours }) {
    const digits = colours.map((_, digit) => digit).filter((digit) => labels.includes(digit));
    const picture = {
      share: 1, least: 140, height: (across) => 24 + 1.15 * (height / width) * (across - 26), bare: true,
      x: [0, width], y: [-0.15 * height, height], xTicks: 0, yTicks: 0,
    };
    const rows = models.map(({ name, low, high, xs, ys, mean, std }) => {
      const [plane, decoded, near] = stage.plots(
        {
          share: 2, least: 300, height: 300, x: [low[0], high[0]], y: [low[1], high[1]], xLabel: "z₁", yLabel: "z₂",
          title: `${name}: drag the point`, alt: `The codes of the ${name}, coloured by digit, with one place marked.`,
        },
        { ...picture, title: "decoded", alt: `What the ${name} decodes from the marked place.` },
        { ...picture, title: "nearest training image", alt: `The training image most like what the ${name} decodes.` },
      );
      for (const digit of digits) {
        const here = (values) => values.filter((_, i) => labels[i] === digit);
        plane.dots({ colour: colours[digit], radius: 2, opacity: 1 })(here(xs), here(ys));
      }
      const point = plane.handle({
        label: `the point in the plane of the ${name}`, colour: "ink", moves: { across: "z1", up: "z2" },
        drag: (x, y) => ({ z1: (x - mean[0]) / std[0], z2: (y - mean[1]) / std[1] }),
      });
      plane.hover((x, y) => {
        let [best, least] = [0, Infinity];
        xs.forEach((_, i) => {
          const far = Math.hypot((xs[i] - x) / std[0], (ys[i] - y) / std[1]);
          if (far < least) [best, least] = [i, far];
        });
        return `the nearest code is that of a ${labels[best]}, ${fixed(least, 2)} standard deviations away`;
      }, { plane: true });
      const size = { width, height };
      return { point, decoded: decoded.image(size), near: near.image(size), note: near.text({ dy: 4 }) };
    });
    stage.legend(...digits.map((digit) => [String(digit), colours[digit], "dot"]));
    return (now) => {
      rows.forEach(({ point, decoded, near, note }, k) => {
        const start = now.nearest[k] * width * height;
        point(...now.z[k]);
        decoded([0, width], [0, height], (i) => 255 * now.image[k][i]);
        near([0, width], [0, height], (i) => 255 * images[start + i]);
        note(`a ${now.label[k]}, ${fixed(now.distance[k], 2)} away`, width / 2, -0.1 * height);
      });
    };
  },

  readout: (now, values, memory, { models }) => models.map(({ name }, k) => {
    const [z1, z2] = now.z[k].map((each) => fixed(each, 2));
    const far = fixed(now.distance[k], 2);
    return `${name}: z = (${z1}, ${z2}); the training image most like it is a ${now.label[k]}, ${far} away`;
  }),
};
