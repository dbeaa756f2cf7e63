"""Scripts for psql's standard input, so that no command line shows a password."""

from tools.stack.errors import StackError
from tools.stack.layout import CHECKOUT

DATABASE = CHECKOUT / "provisioning" / "postgresql" / "database.sql"


def database_script(name: str, user: str, password: str) -> str:
    """Make sure that `user` can log in with `password` and owns database `name`.

    Raises StackError for a value of more than one line.
    """
    values = {"database": name, "role": user, "password": password}
    assignments = (f"\\set {key} {quoted(text)}\n" for key, text in values.items())
    return "".join(assignments) + DATABASE.read_text()


def quoted(text: str) -> str:
    """`text` as psql's \\set reads it back; raises StackError where psql has no way to."""
    if "\n" in text or "\0" in text:
        raise StackError("A database's name, user and password have to be one line each.")
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
