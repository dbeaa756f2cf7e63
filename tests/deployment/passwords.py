"""What the tests' machines have in their .env beside the example's."""

# each has a character that a shell, dotenv or a URL would take for its own
PASSWORDS = {
    "GATEWAY_DB_PASSWORD": 'gw "secret" $HOME #1',
    "INVENTORY_DB_PASSWORD": "inv-secret `id` %41 & more",
    "BILLING_DB_PASSWORD": "bill-secret:@/?=$$ é",
    "CUSTOMERS_DB_PASSWORD": "cust-secret ;|<>~ () [a]* !",
    "ORDERS_DB_PASSWORD": "ord-secret {} ^ % , == ü",
    "RABBITMQ_PASSWORD": "mq-secret !#$(id)*",
    "API_TOKEN": "token-secret-$HOME&;|*?",
    "SMTP_PASSWORD": "smtp-secret <> # & ~",
}


# without SMTP_HOST mails go into the Maildir all the same
ENV = PASSWORDS | {"SMTP_USER": "orders", "SMTP_TLS": "starttls"}
