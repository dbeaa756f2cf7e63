"""The one exception whose text is meant for the person at the terminal."""


class StackError(Exception):
    """A failure explained by one sentence that says what to do; ends with exit status 1."""
