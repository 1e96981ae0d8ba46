// Predict first: commit to an answer, then see the truth laid over it. vaelib/widgets/predict.py holds the same.

import { fixed, html } from "../engine/elements.js";

/** A number with as many places as a range of this width needs. */
const rounded = (x, range) => fixed(x, Math.max(0, Math.min(6, 3 - Math.floor(Math.log10(range)))));

/** What all three share: the question above, a button that shows the answer, and what is said then. */
function predicting(lab) {
  return {
    ...lab,

    // Once the answer shows, the guess stands: only asking again makes it free.
    frozen: ({ revealed }) => revealed,

    resetText: "Ask me again",

    buttons(stage) {
      stage.revealButton = stage.button("Show the answer", () => stage.set({ revealed: true }));
    },

    draw(stage, ready) {
      html(stage.picture, "div", { class: "question", text: `Predict first. ${ready.question}` });
      const move = lab.draw(stage, ready);
      return (now, values) => {
        move(now, values);
        stage.revealButton.disabled = values.revealed || !lab.decided(values, stage.start);
      };
    },

    readout: (now, values, memory, ready) =>
      values.revealed ? [lab.verdict(now, values, ready), ready.because].filter(Boolean) : [lab.invitation],
  };
}

const moved = (values, start) => Object.keys(start).some((name) => name !== "revealed" && values[name] !== start[name]);

export const choice = predicting({
  invitation: "Choose one, then look at the answer.",

  numbers: ({ answer }, { guess }) => ({ right: Number(guess === answer) }),

  decided: ({ guess }) => guess !== "",

  draw(stage, { options, answer }) {
    const group = html(stage.picture, "div", { class: "options", role: "radiogroup", "aria-label": "answers" });
    const buttons = options.map((option) => {
      const button = html(group, "button", { type: "button", role: "radio", text: option });
      stage.onPicture(button, "click", () => stage.set({ guess: option }));
      return button;
    });
    return (now, { guess, revealed }) => buttons.forEach((button, i) => {
      button.setAttribute("aria-checked", String(options[i] === guess));
      button.dataset.mark = !revealed ? "" : options[i] === answer ? "right" : options[i] === guess ? "wrong" : "";
    });
  },

  verdict: (now, values, { answer }) => (now.right ? `Yes: ${answer}` : `No. The answer is: ${answer}`),
});

export const place = predicting({
  invitation: "Drag the marker, then look at the answer.",

  numbers: ({ truth }, { guess }) => ({ miss: Math.abs(guess - truth) }),

  decided: moved,

  draw(stage, { truth, axis }) {
    const [{ low, high }] = stage.controls;
    const [plot] = stage.plots({ height: 96, x: [low, high], y: [-1, 1], yTicks: 0, xLabel: axis, alt: "Your marker on the axis." });
    const line = plot.rule({ colour: "black", width: 2.5 });
    const gap = plot.bar({ colour: "vermillion", opacity: 0.45 });
    const marker = plot.handle({
      label: "your answer", colour: "purple", moves: { across: "guess" }, cursor: "ew-resize", radius: 9, drag: (x) => ({ guess: x }),
    });
    plot.press((x) => stage.set({ guess: x }));
    return (now, { guess, revealed }) => {
      marker(guess, 0);
      line.node.style.display = gap.node.style.display = revealed ? "" : "none";
      line(truth);
      gap(guess, truth, -0.25, 0.25);
    };
  },

  verdict(now, { guess }, { truth, unit, range }) {
    return `It is ${rounded(truth, range)} ${unit}. You said ${rounded(guess, range)}: ${rounded(now.miss, range)} ${unit} away.`;
  },});

/** Straight lines between the knots, as numpy.interp draws them. */
function interpolate(xs, knots, heights) {
  let k = 0;
  return xs.map((x) => {
    while (k < knots.length - 2 && x >= knots[k + 1]) k++;
    const slope = (heights[k + 1] - heights[k]) / (knots[k + 1] - knots[k]);
    return slope * (x - knots[k]) + heights[k];
  });
}

export const curve = predicting({
  invitation: "Sketch the curve with the mouse or a finger, or move its knots; then look at the answer.",

  numbers({ x, truth, knots }, values) {
    const sketch = interpolate(x, knots, knots.map((_, i) => values[`knot${i}`]));
    const miss = sketch.map((y, i) => Math.abs(y - truth[i]));
    return { sketch, miss: Math.sqrt(miss.reduce((total, d) => total + d * d, 0) / miss.length), worst: Math.max(...miss) };
  },

  decided: moved,

  draw(stage, { x, truth, knots, range, labels }) {
    const [plot] = stage.plots({
      height: 260, x: [x[0], x.at(-1)], y: range, xLabel: labels[0], yLabel: labels[1], alt: "Your sketch.",
    });
    const gap = plot.area({ colour: "vermillion", opacity: 0.3 });
    const sketch = plot.curve({ colour: "purple", dash: "7 4" });
    const right = plot.curve({ colour: "black", width: 2.5 });
    const handles = knots.map((knot, i) => plot.handle({
      label: `${labels[1]} at ${fixed(knot, 2)}`, colour: "purple", moves: { up: `knot${i}` }, cursor: "ns-resize", radius: 5,
      drag: (_, y) => ({ [`knot${i}`]: y }),
    }));
    const nearest = (at) => knots.reduce((best, knot, i) => (Math.abs(knot - at) < Math.abs(knots[best] - at) ? i : best), 0);
    plot.press((at, y) => stage.set({ [`knot${nearest(at)}`]: y }));
    stage.legend(["your sketch", "purple", "dashed"], ["the answer, once you ask", "black"], ["between the two", "vermillion", "area"]);
    return (now, values) => {
      sketch(x, now.sketch);
      right(x, truth);
      gap(x, truth, now.sketch);
      right.node.style.display = gap.node.style.display = values.revealed ? "" : "none";
      handles.forEach((handle, i) => handle(knots[i], values[`knot${i}`]));
    };
  },

  verdict: (now, values, { unit, range }) =>
    `Your sketch is ${rounded(now.miss, range[1] - range[0])} ${unit} away (root mean square), at most ${rounded(now.worst, range[1] - range[0])}.`,
});
