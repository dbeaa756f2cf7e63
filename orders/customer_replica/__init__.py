"""The copy of the customers that orders keeps from their events."""
