"""PostgreSQL and RabbitMQ of one checkout, run without root."""
