"""The WSGI application that granian's workers load."""

from billing.app import create_app
from billing.settings import load
from chassis.http import server

server.become_worker("billing-api")
app = create_app(load())
server.forget_settings()
