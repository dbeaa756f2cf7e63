"""The WSGI application that granian's workers load."""

from chassis.http import server
from gateway.app import PROCESS, create_app, create_publisher
from gateway.settings import load

server.become_worker(PROCESS)
settings = load()
app = create_app(settings, create_publisher(settings, PROCESS))
server.forget_settings()
