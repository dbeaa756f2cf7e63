"""Alembic's environment: run the revisions on the connection that `upgrade` hands over."""

from alembic import context

connection = context.config.attributes["connection"]
# a revision's locks end with it: the old code goes on beside a deployment
context.configure(connection=connection, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
