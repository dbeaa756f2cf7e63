"""Lists users of the broker that were created under a former RABBITMQ_USER, one a line.

    rabbitmqctl -q list_users --formatter json | python3 -m provisioning.rabbitmq.former_users

from the directory above, with RABBITMQ_USER in the environment. What an administrator has added
lacks our tag. Runs by the system's Python, with python3-yaml.
"""

import json
import os
import sys

from provisioning.rabbitmq.definitions import OUR_TAG


def former_users(listing: str, user: str) -> list[str]:
    """Return the users in the JSON of `list_users` that have our tag, except `user`."""
    return [e["user"] for e in json.loads(listing) if OUR_TAG in e["tags"] and e["user"] != user]


if __name__ == "__main__":
    for name in former_users(sys.stdin.read(), os.environ["RABBITMQ_USER"]):
        sys.stdout.write(f"{name}\n")
