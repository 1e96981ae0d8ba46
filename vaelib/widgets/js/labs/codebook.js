// Lesson 21: six code vectors on a plane, their cells, and a step of k-means. vaelib/widgets/codebook_lab.py and
// vaelib/theory/quantisation.py hold the same.

import { fixed } from "../engine/elements.js";
import { linspace, sum } from "../engine/maths.js";

const GRID = 60; // points a side, behind the borders of the cells
const SHOWN_SHARE = 0.6; // end of the axis of the bars

const square = ([x, y], [a, b]) => (x - a) ** 2 + (y - b) ** 2;

/** The number of the nearest code; of two alike the first. */
function nearest(point, codes) {
  let best = 0;
  for (let k = 1; k < codes.length; k++) if (square(point, codes[k]) < square(point, codes[best])) best = k;
  return best;
}

const codesOf = (values, count) => Array.from({ length: count }, (_, k) => [values[`x_${k}`], values[`y_${k}`]]);
const valuesOf = (codes) => Object.fromEntries(codes.flatMap(([x, y], k) => [[`x_${k}`, x], [`y_${k}`, y]]));

/** Each code goes to the mean of its points; one without points stays. */
function lloydStep(points, codes, chosen) {
  return codes.map((code, k) => {
    const own = points.filter((_, i) => chosen[i] === k);
    return own.length ? [0, 1].map((axis) => sum(own.map((point) => point[axis])) / own.length) : code;
  });
}

export default {
  prepare: ({ points, ...data }) => ({
    ...data, points: Array.from({ length: points.length / 2 }, (_, i) => [points[2 * i], points[2 * i + 1]]),
    axis: linspace(-data.end, data.end, GRID),
  }),

  numbers({ points, colours }, values) {
    const codes = codesOf(values, colours.length);
    const chosen = points.map((point) => nearest(point, codes));
    const share = codes.map((_, k) => chosen.filter((each) => each === k).length / points.length);
    const bits = -sum(share.map((p) => (p > 0 ? p * Math.log2(p) : 0)));
    return {
      codes: codes.flat(), chosen, share, bits, perplexity: 2 ** bits,
      distortion: sum(points.map((point, i) => square(point, codes[chosen[i]]))) / points.length,
      dead: share.filter((p) => p === 0).length, next: lloydStep(points, codes, chosen).flat(),
    };
  },

  draw(stage, { points, colours, axis, end }) {
    const [plane, bars] = stage.plots(
      {
        share: 1.4, least: 300, height: (width) => Math.min(440, width), x: [-end, end], y: [-end, end], equal: true,
        title: "drag the codes", alt: "Three clouds of points in the colours of their codes, and the borders between the cells.",
      },
      {
        share: 1, least: 260, height: 300, x: [-0.6, colours.length - 0.4], y: [0, SHOWN_SHARE],
        xTicks: colours.map((_, k) => k), xNames: colours.map((_, k) => String(k + 1)), xLabel: "code",
        yLabel: "share of the points", title: "how often each is used", alt: "A bar for each code.",
      },
    );
    const borders = colours.map(() => plane.contour({ colour: "grey", levels: [0], opacity: 0.7 }));
    const clouds = colours.map((colour) => plane.dots({ colour, radius: 2.5 }));
    const columns = colours.map((colour) => bars.bar({ colour }));
    const rings = plane.dots({ colour: "ink", radius: 11, opacity: 1 });
    const handles = colours.map((colour, k) => {
      const spot = plane.dots({ colour, radius: 9, opacity: 1 });
      const label = plane.text({ dy: -15, size: 12 });
      const handle = plane.handle({
        label: `code ${k + 1}`, colour, moves: { across: `x_${k}`, up: `y_${k}` }, cursor: "move",
        drag: (x, y) => ({ [`x_${k}`]: x, [`y_${k}`]: y }),
      });
      return (x, y) => {
        spot([x], [y]);
        label(String(k + 1), x, y);
        handle(x, y);
      };
    });
    stage.legend(["a code", "ink", "dot"], ["border of two cells", "grey"]);
    return (now, values) => {
      const codes = codesOf(values, colours.length);
      const squares = codes.map((code) => Array.from(axis, (y) => Array.from(axis, (x) => square([x, y], code))).flat());
      codes.forEach(([x, y], k) => {
        const own = points.filter((_, i) => now.chosen[i] === k);
        clouds[k](own.map(([a]) => a), own.map(([, b]) => b));
        const apart = squares[k].map((each, i) => {
          let other = Infinity;
          for (let j = 0; j < squares.length; j++) if (j !== k && squares[j][i] < other) other = squares[j][i];
          return each - other;
        });
        borders[k](axis, axis, apart, [0]);
        columns[k](k - 0.35, k + 0.35, 0, Math.min(SHOWN_SHARE, now.share[k]));
        handles[k](x, y);
      });
      rings(codes.map(([x]) => x), codes.map(([, y]) => y));
    };
  },

  buttons(stage, { points, colours }) {
    const now = () => {
      const codes = codesOf(stage.values, colours.length);
      return { codes, chosen: points.map((point) => nearest(point, codes)) };
    };
    stage.button("One Lloyd step", () => {
      const { codes, chosen } = now();
      stage.set(valuesOf(lloydStep(points, codes, chosen)));
    });
    stage.button("Revive a dead code", () => {
      const { codes, chosen } = now();
      const dead = codes.findIndex((_, k) => !chosen.includes(k));
      if (dead < 0) return;
      const far = points.map((point, i) => square(point, codes[chosen[i]]));
      codes[dead] = points[far.indexOf(Math.max(...far))];
      stage.set(valuesOf(codes));
    });
  },

  readout: ({ distortion, bits, perplexity, dead }) => [
    `mean squared distance ${fixed(distortion, 4)}`,
    `the codes say ${fixed(bits, 3)} bits of log₂ 6 = 2.585: perplexity ${fixed(perplexity, 2)} of 6; dead codes: ${dead}`,
  ],
};
