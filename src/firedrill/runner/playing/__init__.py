"""A person on call: an agent whose answer comes from another terminal, through a desk on this machine."""

from firedrill.runner.playing.attaching import attached
from firedrill.runner.playing.desk import Desk, ask
from firedrill.runner.playing.human import HumanAgent, Pager
from firedrill.runner.playing.sessions import Session, find

__all__ = ["Desk", "HumanAgent", "Pager", "Session", "ask", "attached", "find"]
