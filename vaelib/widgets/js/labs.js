// The entry of the labs: an anywidget that finds its lab by name.

import "./engine/engine.css";
import { Stage } from "./engine/stage.js";
import { labs } from "./labs/index.js";

function render({ model, el }) {
  const kind = model.get("kind");
  if (!(kind in labs)) {
    el.textContent = `No lab is called ${kind}. Known ones: ${Object.keys(labs).join(", ")}.`;
    return;
  }
  const stage = new Stage(labs[kind], model, el);
  return () => stage.close();
}

const prepared = new WeakMap(); // by spec: what a lab computes once, however often it is asked

/** The numbers of a lab at given values, for comparison with Python's. */
export function numbers(kind, spec, values) {
  const lab = labs[kind];
  if (!prepared.has(spec)) prepared.set(spec, lab.prepare ? lab.prepare(spec.data) : spec.data);
  return lab.numbers(prepared.get(spec), values, {});
}

/** The modules themselves, for tests of what they compute beside their numbers. */
export { labs };

export default { render };
