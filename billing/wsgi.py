"""What granian's workers load."""

from billing.app import create_app
from billing.settings import load
from chassis import logs, server

server.die_with_parent()
logs.configure("billing-api")
app = create_app(load())
