"""What a page needs of its widgets: the state of those that run in the browser, and a still picture of the rest."""

import base64
import json
from typing import Any

import numpy as np
from nbformat import NotebookNode

from vaelib.widgets.png import to_png

VIEW_MIME = "application/vnd.jupyter.widget-view+json"
STATE_MIME = "application/vnd.jupyter.widget-state+json"


class PageWidgets:
    """The widgets of one executed notebook.

    Args:
        content: the notebook; its metadata hold the widgets' state when it was executed.
    """

    def __init__(self, content: NotebookNode) -> None:
        self._models = content.metadata.get("widgets", {}).get(STATE_MIME, {}).get("state", {})
        self._shown: dict[str, dict[str, Any]] = {}
        self._sources: list[str] = []
        self._places = 0
        self.has_labs = False

    def next_place(self, lab: bool = False) -> str:
        """Return the id of the next explorer of the page; links to an explorer's state name it."""
        self._places += 1
        self.has_labs |= lab
        return f"lab-{self._places}"

    def explorers(self, model_id: str) -> list[str]:
        """Return the ids of the widgets with a browser module (anywidgets) in a displayed widget, itself or inside."""
        state = self._models.get(model_id, {}).get("state", {})
        if state.get("_esm"):
            return [model_id]
        inside = (child.removeprefix("IPY_MODEL_") for child in state.get("children", ()))
        return [explorer for child in inside for explorer in self.explorers(child)]

    def still(self, model_id: str) -> tuple[bytes, str] | None:
        """Return (PNG bytes, description) of a latent pad that only a kernel can decode for; None for any other."""
        state = self._models[model_id]["state"]
        spec = state.get("spec") or {}
        if "layers" not in spec or spec["layers"] is not None:
            return None
        shape = (spec["height"], spec["width"], 3)[: 2 if spec["channels"] == 1 else 3]
        pixels = np.frombuffer(base64.b64decode(self._buffers(model_id)["still"]), "uint8").reshape(shape)
        return to_png(pixels, spec["scale"], spec["smooth"]), spec["alt"]

    def mount(self, model_id: str) -> str:
        """Put a widget's state on the page; return the id under which the page's script finds it."""
        if model_id not in self._shown:
            state = self._models[model_id]["state"]
            self._shown[model_id] = {
                "module": self._source(state["_esm"]),
                "style": self._source(state.get("_css") or ""),
                "state": {k: v for k, v in state.items() if not k.startswith("_") and k != "layout"},
                "buffers": {k: self._source(v) for k, v in self._buffers(model_id).items() if not k.startswith("_")},
            }
        return model_id

    def as_script(self) -> str:
        """Return a script that holds the state of all mounted widgets; empty when there are none."""
        if not self._shown:
            return ""
        state = json.dumps({"models": self._shown, "sources": self._sources}, ensure_ascii=False)
        return f"window.widgetState = {state};\n"

    def first(self) -> str | None:
        """Return the id of the first mounted widget; None for none."""
        return next(iter(self._shown), None)

    def _source(self, text: str) -> int:
        """Two pads share one module, and often one decoder: return the text's place in the list."""
        if text not in self._sources:
            self._sources.append(text)
        return self._sources.index(text)

    def _buffers(self, model_id: str) -> dict[str, str]:
        """Return binary traits by name, base64; those at a deeper place have a path of several steps."""
        return {"/".join(map(str, b["path"])): b["data"] for b in self._models[model_id].get("buffers", ())}
