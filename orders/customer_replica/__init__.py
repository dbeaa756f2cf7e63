"""The replica of the customers that orders keeps from their events."""
