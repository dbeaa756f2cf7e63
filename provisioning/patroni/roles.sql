-- The roles that Patroni uses, in a database that was there before it.
-- psql reads this from standard input after two lines of \set: admin, replication, the passwords.
SELECT 'CREATE ROLE replicator' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'replicator')
\gexec
ALTER ROLE replicator LOGIN REPLICATION PASSWORD :'replication';
ALTER ROLE postgres PASSWORD :'admin';
