-- One role that logs in with a password and owns one database, which no other role may enter.
-- psql reads this from standard input after three lines of \set: database, role, password.
SELECT format('CREATE ROLE %I LOGIN', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role')
\gexec
-- whatever locale the machine has: order and case are the same everywhere
SELECT format(
    'CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING UTF8 LC_COLLATE %L LC_CTYPE %L',
    :'database', :'role', 'C.UTF-8', 'C.UTF-8'
)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec
ALTER ROLE :"role" LOGIN PASSWORD :'password';
ALTER DATABASE :"database" OWNER TO :"role";
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
