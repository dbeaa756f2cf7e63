"""The WSGI application that granian's workers load."""

from chassis.http import server
from orders.app import create_app
from orders.routes import PROCESS
from orders.settings import load

server.become_worker(PROCESS)
app = create_app(load())
server.forget_settings()
