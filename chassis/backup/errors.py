"""The one exception of backups; its text is for the person who asked for one."""


class BackupError(Exception):
    """A backup or a restore is refused or has failed; one or two sentences say why."""
