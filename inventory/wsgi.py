"""What granian's workers load."""

from chassis import logs, server
from inventory.app import create_app
from inventory.settings import load

server.die_with_parent()
logs.configure("inventory-api")
app = create_app(load())
