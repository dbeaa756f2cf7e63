"""Normalizes the text of older rows to NFC, the form in which text is stored and searched now.

Source: https://www.postgresql.org/docs/15/functions-string.html (normalize; encoding UTF8 alone).
"""

from alembic import op


def normalize(table: str, column: str, longest: int) -> None:
    """Convert a column to NFC where the result still fits; no event announces it.

    Args:
        table: its name.
        column: its name.
        longest: characters that the column holds; a few texts are longer in NFC.
    """
    op.execute(
        f"UPDATE {table} SET {column} = normalize({column}, NFC) "
        f"WHERE {column} IS NOT NFC NORMALIZED "
        f"AND char_length(normalize({column}, NFC)) <= {longest}"
    )


def normalize_unique(table: str, key: str, column: str, longest: int) -> None:
    """Do the same for a column of names that no two rows share.

    If several names are equal in NFC, one row gets the NFC name: the one that has it already, else
    the first. The others keep their names: a search by name no longer finds them, the key does.

    Args:
        table: its name.
        key: the table's primary key.
        column: its name.
        longest: characters that the column holds.
    """
    op.execute(
        f"""
        WITH forms AS (
            SELECT {key} AS key, normalize({column}, NFC) AS form,
                row_number() OVER (PARTITION BY normalize({column}, NFC) ORDER BY {key}) AS place
            FROM {table}
            WHERE {column} IS NOT NFC NORMALIZED
        )
        UPDATE {table} SET {column} = forms.form FROM forms
        WHERE {table}.{key} = forms.key AND forms.place = 1
            AND char_length(forms.form) <= {longest}
            AND NOT EXISTS (SELECT FROM {table} AS other WHERE other.{column} = forms.form)
        """
    )
