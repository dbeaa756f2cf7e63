"""What granian's workers load."""

from chassis import logs, server
from customers.app import PROCESS, create_app
from customers.events import create_publisher
from customers.settings import load

server.die_with_parent()
logs.configure(PROCESS)
settings = load()
strict = settings.events.events_strict
app = create_app(settings, create_publisher(settings, PROCESS) if strict else None)
