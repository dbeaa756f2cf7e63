"""Alembic's environment: run the revisions on the connection that `upgrade` hands over."""

from alembic import context

connection = context.config.attributes["connection"]
# each revision releases its locks: the old code runs during a deployment
context.configure(connection=connection, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
