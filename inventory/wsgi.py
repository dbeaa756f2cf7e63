"""The WSGI application that granian's workers load."""

from chassis.http import server
from inventory.app import create_app
from inventory.settings import load

server.become_worker("inventory-api")
app = create_app(load())
server.forget_settings()
