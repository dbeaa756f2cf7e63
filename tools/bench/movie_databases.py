"""Databases of many movies, each served by a separate inventory-api."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from tools.bench import servers
from tools.bench.environment import Environment

RARE, COMMON = "zugzwang", "night"
RARE_MOVIES = 10
WORDS = (
    "night city garden river winter summer train island mother brother stranger silence mirror "
    "shadow letter ocean mountain desert kingdom dream window stone golden broken hidden quiet "
    "distant burning frozen paper silver crimson velvet wooden lonely endless ancient hollow "
    "restless gentle bitter electric midnight harbor station orchard lantern compass voyage"
)
# titles of three words, all equally frequent; ten movies have a rare word, too
FILL = """
INSERT INTO movies (title, description)
SELECT initcap(w[1 + a] || ' ' || w[1 + b] || ' ' || w[1 + c])
       || CASE WHEN n %% (%(movies)s / %(rare)s) = 0 THEN ' ' || %(word)s ELSE '' END || ' ' || n,
       'What it is about, in a sentence or two: ' || md5(n::text)
FROM (SELECT n, w, abs(hashint4(n)) %% cardinality(w) a,
             abs(hashint4(n + 1000000007)) %% cardinality(w) b,
             abs(hashint4(n + 1100000003)) %% cardinality(w) c
      FROM generate_series(1, %(movies)s) n, string_to_array(%(words)s, ' ') w) numbered
"""


def database(movies: int) -> str:
    """The name of the database with this many movies."""
    return f"bench_{movies}_movies"


def make(environment: Environment, movies: int) -> None:
    """Make a database with this many movies by the service's migrations."""
    name = database(movies)
    environment.make_database("inventory", name)
    values = {"movies": movies, "rare": RARE_MOVIES, "word": RARE, "words": WORDS}
    with (
        closing(environment.connect("inventory", name)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SET maintenance_work_mem = '512MB'")
        # an index is built faster at once than row by row
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'movies_title_trigrams'")
        [definition] = cursor.fetchone() or [""]
        cursor.execute("DROP INDEX movies_title_trigrams")
        cursor.execute(FILL, values)
        cursor.execute(definition)
        cursor.execute("VACUUM ANALYZE movies")


@contextmanager
def served(environment: Environment, movies: int) -> Iterator[str]:
    """Run an inventory-api on such a database; yields its address."""
    variables = {"INVENTORY_DB_NAME": database(movies)}
    name = f"inventory-api with {movies:,}"
    with servers.of_service(environment, "inventory", name, variables) as address:
        yield address
