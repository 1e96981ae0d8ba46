// Brings the page's explorers to life without a kernel: each gets its module, its style and its last known state.
(() => {
  const holder = document.getElementById("widget-state");
  if (!holder) return;
  const { models, sources } = JSON.parse(holder.textContent);
  const decoded = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

  // The part of a notebook's widget model that a module may use. Nothing listens at the other end.
  class Model {
    constructor({ state, buffers }) {
      this.state = state;
      this.listeners = [];
      for (const [path, text] of Object.entries(buffers)) {
        const steps = path.split("/");
        const last = steps.pop();
        steps.reduce((place, step) => (place[step] ??= {}), this.state)[last] = decoded(text);
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
  const load = (index) => {
    if (!modules.has(index)) {
      const address = URL.createObjectURL(new Blob([sources[index]], { type: "text/javascript" }));
      modules.set(index, import(address));
    }
    return modules.get(index);
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

  async function mount(el) {
    const note = el.querySelector(".note");
    try {
      const { module, style } = models[el.dataset.model];
      dress(style);
      let definition = (await load(module)).default;
      if (typeof definition === "function") definition = await definition();
      const model = await modelOf(el.dataset.model, definition);
      const place = document.createElement("div");
      el.append(place);
      await definition.render({ model, el: place });
      note.remove();
      el.classList.add("live");
    } catch (error) {
      console.error(error);
      note.textContent = `This explorer could not start here: ${error.message}. It runs in JupyterLab.`;
    }
  }
  document.querySelectorAll(".explorer[data-model]").forEach(mount);
})();
