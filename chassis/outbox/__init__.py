"""The transactional outbox: messages committed with a change, relayed to RabbitMQ later."""
