"""A server that answers as inventory does, or badly, for tests of orders."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, Response, request
from werkzeug.serving import make_server

from chassis.settings import Upstream
from tools.stack.ports import free_port

PRODUCTS: dict[int, tuple[str, str]] = {
    1: ("The Matrix, DVD", "9.99"),
    4: ("Tron, Blu-ray", "20.00"),
    7: ("A gold copy", "9999999999.99"),
    8: ("A gift", "0.00"),
}


class Shop:
    """The products, and the calls for them.

    Attributes:
        asked: the query of each call.
        headers: the headers of each call.
        answer: the function that answers; `products` by default.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[], Response] = self.products
        self.awake = threading.Event()
        self.upstream = Upstream("inventory-api", "127.0.0.1", free_port())
        self._app = Flask("shop")
        self._app.add_url_rule("/api/products", "products", self._answer)

    def products(self) -> Response:
        """Answer with the requested products."""
        ids = [int(text) for text in request.args["ids"].split(",")]
        found = [_product(key, *PRODUCTS[key]) for key in sorted(ids) if key in PRODUCTS]
        return Response(f"[{','.join(found)}]", mimetype="application/json")

    def says(self, text: str, status: int = 200) -> None:
        """Answer with this from now on."""
        self.answer = lambda: Response(text, status, mimetype="application/json")

    def sleeps(self) -> None:
        """Answer nothing before the test ends."""

        def wait() -> Response:
            self.awake.wait(60)
            return self.products()

        self.answer = wait

    def stalls(self) -> None:
        """Start an answer, and send nothing more before the test ends."""

        def parts() -> Iterator[bytes]:
            yield b"["
            self.awake.wait(60)

        self.answer = lambda: Response(parts(), mimetype="application/json")

    def trickles(self) -> None:
        """Send a blank now and then, until the test ends."""

        def parts() -> Iterator[bytes]:
            while not self.awake.wait(0.1):
                yield b" "

        self.answer = lambda: Response(parts(), mimetype="application/json")

    def _answer(self) -> Response:
        self.asked.append(request.args.to_dict())
        self.headers.append(dict(request.headers))
        return self.answer()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Serve for a block."""
        host, port = self.upstream.host, self.upstream.port
        server: Any = make_server(host, port, self._app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            self.awake.set()
            server.shutdown()
            server.server_close()
            thread.join(10)


def _product(key: int, name: str, price: str) -> str:
    stock = f'"stock": 5, "movie_id": null, "description": null, "price": {price}'
    return f'{{"id": {key}, "name": "{name}", {stock}}}'
