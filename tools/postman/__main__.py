"""`./stack postman`: generates postman_collection.json."""

import sys

import click

from tools.postman.collection import FILE, text
from tools.postman.document import operations, raw
from tools.stack.command_line import Documented
from tools.stack.console import say
from tools.stack.errors import StackError
from tools.stack.progress import PROGRESS


@click.command(cls=Documented, example="./stack postman")
def postman() -> None:
    """Generate postman_collection.json from openapi.yaml."""
    try:
        with PROGRESS.of("reading openapi.yaml"):
            collection = text(raw(), operations())
    except LookupError as error:
        raise StackError(str(error.args[0])) from None
    FILE.write_text(collection, encoding="utf-8")
    say(f"{FILE.name} is generated from openapi.yaml.")


if __name__ == "__main__":
    postman.main(sys.argv[1:], prog_name="./stack postman")
