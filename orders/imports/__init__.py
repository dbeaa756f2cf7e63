"""The import of orders from CSV files."""
