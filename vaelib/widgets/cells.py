"""A cell that runs again closes the widgets of its earlier run, which would live on unseen."""

from IPython import get_ipython

# For each notebook cell the execution that last made widgets there, and those widgets.
_of_cell: dict[str, tuple[str, list]] = {}


def replace_widgets_of_this_cell(widget):
    """Close what an earlier run of the cell that runs now left behind, and remember its new widget.

    Args:
        widget: anything with a method `close`.
    """
    shell = get_ipython()
    parent = shell.get_parent() if hasattr(shell, "get_parent") else None
    cell = (parent or {}).get("metadata", {}).get("cellId")
    if cell is None:  # not in JupyterLab or Notebook: nothing says which cell this is
        return
    execution = parent["header"]["msg_id"]
    last_execution, widgets = _of_cell.get(cell, (None, []))
    if last_execution != execution:
        for old in widgets:
            old.close()
        widgets = []
    _of_cell[cell] = (execution, [*widgets, widget])
