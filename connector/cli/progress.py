"""What is going on, on stderr, while something takes longer than a second. Never on a pipe, never on stdout."""

import sys
import threading

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from connector.cli.printing import console_of
from connector.reconcile.wording import clean

_PATIENCE = 1.0


class ProgressLine:
    """One line with a moving bar, the stage and the time. It appears after a second and is gone at the end."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._timer: threading.Timer | None = None
        if sys.stderr is not None and sys.stderr.isatty():
            text = TextColumn("{task.description}", markup=False)
            columns = (SpinnerColumn(), text, BarColumn(bar_width=24), TimeElapsedColumn())
            self._bar = Progress(*columns, console=console_of(sys.stderr), transient=True)
            self._task = self._bar.add_task("", total=None)

    def __call__(self, stage: str) -> None:
        """Say which stage has begun."""
        if self._bar is None:
            return
        self._bar.update(self._task, description=clean(stage))
        if self._timer is None:
            self._timer = threading.Timer(_PATIENCE, self._bar.start)
            self._timer.daemon = True
            self._timer.start()

    def end(self) -> None:
        """Take the line away."""
        if self._bar is None or self._timer is None:
            return
        self._timer.cancel()
        self._timer.join()
        self._bar.stop()
        self._bar = None
