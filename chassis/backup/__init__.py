"""Backup and restore of databases and of RabbitMQ's definitions.

`work` does it on any `platform.Platform`. There are two: a machine (`machine`, behind `crud-master
backup|restore`), and the platform on one machine (tools.stack.backup).
"""
