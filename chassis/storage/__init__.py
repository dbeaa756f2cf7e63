"""PostgreSQL: the database, migrations, the inbox, and retention."""
