// Brings the page's explorers to life without a kernel: each gets its module, its style and its last known state.
(() => {
  const { models, sources } = window.widgetState ?? { models: {}, sources: [] };
  const decoded = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

  // The part of a notebook's widget model that a module may use. Nothing listens at the other end.
  class Model {
    constructor({ state, buffers }) {
      this.state = state;
      this.listeners = [];
      for (const [path, index] of Object.entries(buffers)) {
        const steps = path.split("/");
        const last = steps.pop();
        steps.reduce((place, step) => (place[step] ??= {}), this.state)[last] = decoded(sources[index]);
      }
    }
    get(name) { return this.state[name]; }
    set(name, value) {
      if (typeof name === "object") return Object.entries(name).forEach(([key, given]) => this.set(key, given));
      const old = this.state[name];
      this.state[name] = value;
      if (old === value || (!ArrayBuffer.isView(value) && JSON.stringify(old) === JSON.stringify(value))) return;
      this.trigger(`change:${name}`, this, value);
      this.trigger("change", this);
    }
    on(events, listener) { for (const event of events.split(" ")) this.listeners.push({ event, listener }); }
    off(event, listener) {
      this.listeners = this.listeners.filter((l) =>
        (event && !event.split(" ").includes(l.event)) || (listener && l.listener !== listener));
    }
    trigger(event, ...values) {
      for (const l of [...this.listeners]) if (l.event === event) l.listener(...values);
    }
    save_changes() {}
    send(content) {
      // A question for Python: say at once that nobody answers.
      const text = "This page has no Python kernel: in JupyterLab the explorer can answer this.";
      queueMicrotask(() => this.trigger("msg:custom", { kind: "error", id: content?.id, text }, []));
    }
  }

  // A page opened from file:// may import no file, but it may import what it holds itself.
  const modules = new Map();
  const load = (text) => {
    if (!modules.has(text)) {
      modules.set(text, import(URL.createObjectURL(new Blob([text], { type: "text/javascript" }))));
    }
    return modules.get(text);
  };
  const styles = new Set();
  const dress = (index) => {
    if (styles.has(index)) return;
    styles.add(index);
    document.head.append(Object.assign(document.createElement("style"), { textContent: sources[index] }));
  };

  const made = new Map();
  const modelOf = async (id, definition) => {
    if (!made.has(id)) {
      const model = new Model(models[id]);
      made.set(id, Promise.resolve(definition.initialize?.({ model })).then(() => model));
    }
    return made.get(id);
  };

  // A pad's model stands in the page's state, under its id; a lab's state stands in the lab's own place.
  async function prepare(el) {
    if (el.dataset.model) {
      const { module, style } = models[el.dataset.model];
      dress(style);
      return { text: sources[module], model: (definition) => modelOf(el.dataset.model, definition) };
    }
    const state = JSON.parse(el.querySelector(".lab-state").textContent);
    return { text: window.labsModule, model: async () => new Model({ state, buffers: {} }) };
  }

  async function mount(el) {
    const note = el.querySelector(".note");
    const place = document.createElement("div");
    try {
      const { text, model } = await prepare(el);
      let definition = (await load(text)).default;
      if (typeof definition === "function") definition = await definition();
      el.append(place);
      await definition.render({ model: await model(definition), el: place });
      note.remove();
      for (const still of el.querySelectorAll(":scope > img")) still.remove();
      el.classList.add("live");
    } catch (error) {
      console.error(error);
      place.remove();
      note.textContent = `This explorer could not start here: ${error.message}. It runs in JupyterLab.`;
    }
  }
  document.querySelectorAll(".explorer[data-model], .explorer:has(> .lab-state)").forEach(mount);
})();
