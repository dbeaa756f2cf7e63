"""`./stack postman`: writes postman_collection.json anew."""

import sys

from postman.collection import FILE, text
from postman.document import operations, raw


def main() -> int:
    """Write the collection; 1 and a sentence if openapi.yaml lacks something."""
    try:
        collection = text(raw(), operations())
    except LookupError as error:
        sys.stderr.write(f"{error.args[0]}\n")
        return 1
    FILE.write_text(collection, encoding="utf-8")
    sys.stdout.write(f"{FILE.name} is made anew from openapi.yaml.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
