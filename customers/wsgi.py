"""The WSGI application that granian's workers load."""

from chassis.http import server
from customers.app import PROCESS, create_app, create_publisher
from customers.settings import load

server.become_worker(PROCESS)
settings = load()
strict = settings.events.events_strict
app = create_app(settings, create_publisher(settings, PROCESS) if strict else None)
server.forget_settings()
