"""A widget of the browser as one HTML file: module, style and state inside, so that it moves without a network."""

import base64
import html
import json
import pathlib
import re

import anywidget

from vaelib.files import replace_file

# How a bundle ends: the name under which its widget stands there.
MODULE_END = re.compile(r"export\s*\{\s*(\w+) as default\s*\};?\s*\Z")
# No address outside can be asked, whatever the state holds.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ max-width: 52em; margin: 1.5em auto; padding: 0 12px; font-family: system-ui, sans-serif; }}
h1 {{ font-size: 1.4em; }}
{style}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<div id="widget"></div>
<noscript><p>This page decodes in the browser: switch JavaScript on to move it. {alt}</p></noscript>
</main>
<script type="application/json" id="state">{state}</script>
<script type="module">
{module}
{start}
</script>
</body>
</html>
"""

# What a notebook's front end gives to a widget's module, without a kernel behind it.
START = """
const { state, bytes } = JSON.parse(document.getElementById("state").textContent);
for (const [key, text] of Object.entries(bytes)) {
  state[key] = new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
}
const listeners = new Map();
const listenersOf = (event) => listeners.get(event) ?? listeners.set(event, new Set()).get(event);
render({
  model: {
    get: (key) => state[key],
    set: (key, value) => {
      if (JSON.stringify(value) === JSON.stringify(state[key])) return;
      state[key] = value;
      for (const listener of [...listenersOf(`change:${key}`)]) listener();
    },
    on: (event, listener) => listenersOf(event).add(listener),
    off: (event, listener) => listenersOf(event).delete(listener),
    save_changes: () => {},
    send: () => {},
  },
  el: document.getElementById("widget"),
});
"""


def write_page(widget, file, title, spec):
    """Write a widget that runs in the browser as one HTML file; return its path.

    Args:
        widget: an anywidget whose module is a bundle of `make widgets`.
        file: where to write it.
        title: the page's title.
        spec: what to change in the widget's `spec`, for this file alone.
    """
    inherited = anywidget.AnyWidget.class_trait_names()
    own = [name for name in widget.trait_names(sync=True) if name not in inherited and not name.startswith("_")]
    state = widget.get_state(own)
    state["spec"] = {**state["spec"], **spec}
    data = {key: base64.b64encode(state.pop(key)).decode() for key in own if isinstance(state[key], bytes)}
    code = widget.get_state(["_esm", "_css"])
    module, end = code["_esm"], MODULE_END.search(code["_esm"])
    if not end or "</script" in module:
        raise RuntimeError(
            f"the module of {type(widget).__name__} must end with its default export and hold no </script."
        )
    text = PAGE.format(
        policy=POLICY,
        title=html.escape(str(title)),
        alt=html.escape(state["spec"]["alt"]),
        style=code["_css"],
        # The text of the state may hold </script>.
        state=json.dumps({"state": state, "bytes": data}, ensure_ascii=False).replace("<", "\\u003c"),
        module=f"{module[: end.start()]}\nconst {{ render }} = {end[1]};",
        start=START,
    )
    path = pathlib.Path(file)
    with replace_file(path) as half:
        half.write_text(text, "utf-8")
    return path
