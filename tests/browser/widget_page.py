"""A page with a stand-in for the notebook's model, filled with the state of real Python widgets."""

import base64
import http.server
import json
import threading

import anywidget

# A model as the notebook's front end gives it to the module. Its bytes begin at an odd address, as a message's may.
PAGE = """<!doctype html><title>pads</title><link rel="icon" href="data:,"><body><script type="module">
function view(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const odd = new Uint8Array(bytes.length + 1);
  odd.set(bytes, 1);
  return new DataView(odd.buffer, 1, bytes.length);
}
class Model {
  constructor(name, state) {
    Object.assign(this, { name, state, listeners: [], saves: 0, sent: 0 });
  }
  get(key) { return this.state[key]; }
  set(key, value) {
    if (JSON.stringify(value) === JSON.stringify(this.state[key])) return;
    this.state[key] = value;
    this.tell(`change:${key}`);
  }
  on(event, listener) { this.listeners.push([event, listener]); }
  off(event, listener) { this.listeners = this.listeners.filter(([e, l]) => e !== event || l !== listener); }
  tell(event, ...values) { for (const [e, l] of [...this.listeners]) if (e === event) l(...values); }
  save_changes() { this.saves++; this.saved = JSON.stringify(this.state["z" in this.state ? "z" : "image"]); }
  async send(content) {
    this.sent++;
    const body = JSON.stringify(content);
    const answer = await fetch(`/kernel/${this.name}`, { method: "POST", body });
    for (const [reply, buffers] of await answer.json()) this.tell("msg:custom", reply, buffers.map(view));
  }
}
window.pads = {};
for (const [name, { state, bytes }] of Object.entries(await (await fetch("/states")).json())) {
  for (const [key, text] of Object.entries(bytes)) state[key] = view(text);
  const el = document.createElement("div");
  el.id = name;
  document.body.append(el);
  const model = new Model(name, state);
  const widget = (await import(`/${name}.js`)).default; // as anywidget does: one module per widget
  window.pads[name] = { model, cleanup: widget.render({ model, el }) };
}
window.frames_ = (n) => new Promise((done) => {
  const next = (k) => (k ? requestAnimationFrame(() => next(k - 1)) : done());
  next(n);
});
window.pixels = (name, selector = ".pictures canvas:last-child") => {
  const canvas = document.querySelector(`#${name} ${selector}`);
  return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data);
};
window.ready = true;
</script>"""


def state_of(widget):
    """The state that a page needs: what the widget itself syncs, its bytes apart."""
    inherited = anywidget.AnyWidget.class_trait_names()
    own = [name for name in widget.trait_names(sync=True) if name not in inherited and not name.startswith("_")]
    state = widget.get_state(own)
    bytes_ = {key: base64.b64encode(state.pop(key)).decode() for key in own if isinstance(state[key], bytes)}
    return {"state": state, "bytes": bytes_}


class Site:
    """Serves the module, the style and the state of the widgets, and passes messages on to the widgets."""

    def __init__(self):
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(*site.contents[self.path.split("?")[0]])

            def do_POST(self):
                widget = site.widgets[self.path.rsplit("/", 1)[1]]
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                replies = []
                widget.send = lambda content, buffers=(): replies.append(
                    [content, [base64.b64encode(b).decode() for b in buffers]]
                )
                widget._handle_custom_msg(content, [])
                self.answer("application/json", json.dumps(replies))

            def answer(self, kind, text):
                self.send_response(200)
                self.send_header("Content-Type", f"{kind}; charset=utf-8")
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args):
                pass

        self.widgets, self.contents = {}, {}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def show(self, **widgets):
        self.widgets = widgets
        style = f"<style>{''.join(dict.fromkeys(widget._css for widget in widgets.values()))}</style>"
        self.contents = {
            "/": ("text/html", PAGE.replace("<body>", style + "<body>")),
            **{f"/{name}.js": ("text/javascript", w.get_state()["_esm"]) for name, w in widgets.items()},
            "/states": ("application/json", json.dumps({name: state_of(w) for name, w in widgets.items()})),
        }


def settle(page):
    """Let the page draw what is waiting to be drawn."""
    page.evaluate("frames_(3)")


def rest(page):
    """Let the page's own timers fire, all shorter than this one: they come due in order, however slow the machine."""
    page.evaluate("new Promise((done) => setTimeout(done, 200))")


def drag(page, path, box):
    """Drag through places given as shares of the plane, from its upper left corner."""
    places = [(box["x"] + 1 + x * (box["width"] - 2), box["y"] + 1 + y * (box["height"] - 2)) for x, y in path]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()
