// The black square on which the reader draws a digit: what the labs with such a square share.

import { keepDrawing, keptDrawing, strokesOf, textOf } from "./strokes.js";

const CLOSE = 0.015; // points of a stroke lie at least this far apart, in widths of the surface
const MOST = 2000; // points of a drawing

function change(stage, drawing) {
  stage.set({ image: stage.ready.own, drawing });
  keepDrawing(drawing);
}

/** Begin with the drawing of an earlier lesson, where there is one. */
export function openDrawing(stage) {
  const drawing = keptDrawing();
  if (drawing) stage.set({ image: stage.ready.own, drawing });
}

export function drawingButtons(stage) {
  stage.button("Undo the last stroke", () => change(stage, stage.values.drawing.split("-").slice(0, -1).join("-")));
  stage.button("Clear", () => change(stage, ""));
}

/** Let the pointer draw on a surface from 0 to 1 on each side. */
export function drawOn(surface, stage) {
  surface.node.style.cursor = "crosshair";
  surface.press((x, y, begins) => {
    const { image, drawing } = stage.values;
    const strokes = image === stage.ready.own ? strokesOf(drawing) : [];
    if (strokes.flat().length >= MOST) return;
    const point = [x, y].map((value) => Math.min(0.99, Math.max(0, value)));
    if (begins || !strokes.length) strokes.push([point]);
    else {
      const [oldX, oldY] = strokes.at(-1).at(-1);
      if (Math.hypot(point[0] - oldX, point[1] - oldY) < CLOSE) return;
      strokes.at(-1).push(point);
    }
    change(stage, textOf(strokes));
  });
}
