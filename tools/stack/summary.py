"""What ./stack up says at its end: where things are, and what to try next."""

from tools.stack.console import coloured, table
from tools.stack.stack import Stack

NEXT = """\
Try:
  curl -X POST {url}/api/movies -H 'Content-Type: application/json' -d '{{"title": "The Matrix"}}'
  curl {url}/api/movies
  curl -X POST {url}/api/billing -H 'Content-Type: application/json' \\
       -d '{{"user_id": "usr_123", "number_of_items": 3, "total_amount": 99.97}}'
  curl -X POST {url}/api/customers -H 'Content-Type: application/json' \\
       -d '{{"name": "Benjamin", "email": "ben@kawa.fr"}}'
  ./stack seed                          # movies, products, customers and orders
  curl -X POST {url}/api/orders -H 'Content-Type: application/json' \\
       -H 'Authorization: Bearer {token}' \\
       -d '{{"customer_id": "1", "items": [{{"product_id": 1, "quantity": 2}}]}}'
  ./stack run orders mail list          # what was written to customers
  ./stack events order_events           # the events of orders, as they come
  ./stack pm2 stop billing-consumer     # bills then wait in the queue
  ./stack status
  ./stack logs billing-consumer
  ./stack down"""


def first_page(stack: Stack) -> str:
    """Which page to open first, with its address where it is seen."""
    url = f"http://localhost:{stack.variables['GATEWAY_PORT']}"
    page, docs = coloured(url, "cyan"), coloured(f"{url}/docs", "cyan")
    return f"Open {page} first: all of it on one page, live. To try the API out: {docs}"


def summary(stack: Stack) -> str:
    """A table of addresses and credentials, and commands to try."""
    values, broker = stack.variables, stack.rabbitmq
    url = f"http://localhost:{values['GATEWAY_PORT']}"
    user, password = broker.credentials
    rows = [
        ("gateway", url, ""),
        ("RabbitMQ's UI", f"http://localhost:{broker.management_port}", f"{user} / {password}"),
        ("AMQP", f"{broker.host}:{broker.port}", f"vhost {broker.vhost}"),
    ]
    for service, postgres in stack.postgres.items():
        name, role, secret = (values[f"{service.upper()}_DB_{f}"] for f in FIELDS)
        address = f"{postgres.host}:{postgres.port}/{name}"
        rows.append((f"database of {service}", address, f"{role} / {secret}"))
    return "\n" + table(rows) + "\n\n" + NEXT.format(url=url, token=values["API_TOKEN"])


FIELDS = ("NAME", "USER", "PASSWORD")
