"""The textbook page, live: a worked example, its loss, its derivatives, training, and why one loss is faster.

`compute(network, start)` returns every number as a record, `lesson_command` prints them and writes `lesson.html`.
"""

from .command import lesson_command
from .network import Network, load_network
from .record import Lesson, compute

__all__ = ["Lesson", "Network", "compute", "lesson_command", "load_network"]
