"""What granian's workers load."""

from chassis import logs, server
from orders.app import create_app
from orders.routes import PROCESS
from orders.settings import load

server.die_with_parent()
logs.configure(PROCESS)
app = create_app(load())
