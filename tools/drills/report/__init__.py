"""What is left of a drill: tables, charts, pages, artifacts."""
