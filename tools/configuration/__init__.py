"""Makes the tables of docs/configuration.md from .env.example and the services' settings."""
