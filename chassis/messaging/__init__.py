"""RabbitMQ: connections, publishing with confirms, consuming, and dead letters."""
