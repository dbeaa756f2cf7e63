"""What granian's workers load."""

from chassis import logs, server
from gateway.app import PROCESS, create_app, create_publisher
from gateway.settings import load

server.die_with_parent()
logs.configure(PROCESS)
settings = load()
app = create_app(settings, create_publisher(settings, PROCESS))
