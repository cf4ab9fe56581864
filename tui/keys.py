"""Every key of the dashboard once: what the config file may remap, and what help says.

In: nothing. Out: `KEYS` by action, and `bind`, which makes the Bindings of screens and widgets.
The app lays the user's choice over them (`Settings.keys`: action -> keys, with commas between).
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Key:
    """One action: its keys as Textual names them, a word for the footer, a line for help."""

    keys: str
    label: str
    about: str
    shown: bool = False


KEYS: dict[str, Key] = {
    "open": Key("enter", "Open", "open: session › calls › messages; a finding's evidence", True),
    "back": Key("escape", "Back", "back: out of a call, the filter, the session", True),
    "down": Key("down,j", "Down", "down"),
    "up": Key("up,k", "Up", "up"),
    "page_down": Key("pagedown,ctrl+d", "Page down", "a page down"),
    "page_up": Key("pageup,ctrl+u", "Page up", "a page up"),
    "top": Key("home,g", "Top", "to the top"),
    "bottom": Key("end,G", "Bottom", "to the bottom"),
    "tables": Key(
        "0", "Tables", "all other tables: sessions, processes, files, connections…", True
    ),
    "filter": Key("slash", "Filter", "filter: status:error  cost:>0.1  !opus  time:10m", True),
    "sort": Key("s", "Sort", "sort by the next column; or click on a column's name", True),
    "reverse": Key("S", "Reverse", "turn the order round"),
    "follow": Key("f", "Follow", "follow the newest rows, or stay with this one"),
    "pause": Key("p", "Pause", "pause and go on", True),
    "slower": Key("minus", "Slower", "look at the store less often"),
    "faster": Key("plus", "Faster", "look at the store more often"),
    "maximise": Key("z", "Zoom", "the view alone, without bars"),
    "copy": Key("y", "Copy", "copy what is selected as JSON"),
    "export": Key("e", "Export", "write what is selected, or the whole table, to a file", True),
    "pager": Key("v,o", "Pager", "what is selected in $PAGER"),
    "screenshot": Key("ctrl+s", "Screenshot", "the screen as an SVG file"),
    "theme": Key("t", "Theme", "the next theme"),
    "zoom_in": Key("plus", "Zoom in", "timeline: look at half the time", True),
    "zoom_out": Key("minus", "Zoom out", "timeline: look at twice the time"),
    "fit": Key("w,equals_sign", "Fit", "timeline: look at all of the session"),
    "earlier": Key("h,left", "Earlier", "timeline: a quarter of the window earlier"),
    "later": Key("l,right", "Later", "timeline: a quarter of the window later"),
    "next_mark": Key("n", "Next error", "timeline, activity: to the next error or finding", True),
    "previous_mark": Key("N", "Previous error", "timeline, activity: to the one before"),
    "programs": Key("x", "All programs", "timeline: also programs that other programs began"),
    "fold": Key("space", "Fold", "activity: open or close what is below"),
    "fold_all": Key("asterisk", "Open all", "activity: open all, close all", True),
    "parent": Key("h,left", "Parent", "activity: close, or to what it is part of"),
    "child": Key("l,right", "Child", "activity: open"),
    "asked_by": Key("a", "Asked by", "activity: to the tool call that caused it"),
    "measure": Key(
        "m", "Measure", "models: plot the next measure; context: bars against the window", True
    ),
    "group": Key("b", "By", "models: by model, agent, session, day; context: by turn", True),
    "range": Key("r", "Range", "models: the next range of time", True),
    "fold_message": Key("space,enter", "Fold", "call: fold or unfold the message", True),
    "fold_messages": Key("a", "Fold all", "call: unfold every message, or fold them"),
    "deeper": Key("right,l", "Deeper", "call: open JSON one level more"),
    "shallower": Key("left", "Shallower", "call: close JSON by one level"),
    "markdown": Key("m", "Markdown", "call: texts as Markdown, or as they are"),
    "diff": Key("d", "Diff", "call: what the request says that the one before it did not", True),
    "http": Key("h", "HTTP", "call: the HTTP exchange, from raw data that was kept", True),
    "previous_call": Key("left_square_bracket", "Previous", "call: the one before in its session"),
    "next_call": Key("right_square_bracket", "Next", "call: the one after in its session"),
    "help": Key("question_mark", "Help", "help for what has the focus", True),
    "quit": Key("q", "Quit", "quit", True),
}
"""By the action's name, as in the config file."""


def bind(name: str, action: str = "") -> Binding:
    """The Binding of an action of KEYS; `action` when Textual's is another than the name."""
    key = KEYS[name]
    return Binding(key.keys, action or name, key.label, show=key.shown, id=name)
