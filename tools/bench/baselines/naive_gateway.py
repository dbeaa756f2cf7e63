"""A gateway as most tutorials write it, for Flask's development server.

A new connection for each request: to the upstream by `requests` without a session, to the broker by
pika without confirms, for a transient message.
"""

import json
import os

import pika
import requests
from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.route("/api/movies/<movie_id>")
def movies(movie_id: str) -> Response:
    """Forward a request."""
    answer = requests.get(f"{os.environ['INVENTORY_URL']}/api/movies/{movie_id}", timeout=10)
    return Response(answer.content, answer.status_code, content_type="application/json")


@app.route("/api/billing", methods=["POST"])
def billing() -> tuple[Response, int]:
    """Send a bill to the queue."""
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ_URL"]))
    channel = connection.channel()
    channel.basic_publish("", os.environ["RABBITMQ_QUEUE"], json.dumps(request.get_json()).encode())
    connection.close()
    return jsonify(message="Message posted"), 202
