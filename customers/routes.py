"""`/api/customers`, and `/api/clients`, its other name."""

from flask import Blueprint

from chassis.http.resource_routes import Requests, resource_routes
from chassis.storage.database import Database
from customers.customers import Customers
from customers.schemas import CustomerChange, CustomerQuery, NewCustomer


def customer_routes(name: str, database: Database, customers: Customers) -> Blueprint:
    """Return the routes of customers, under `/api/<name>`."""
    requests = Requests("customer", CustomerQuery, NewCustomer, CustomerChange)
    return resource_routes(name, database, customers, requests)
