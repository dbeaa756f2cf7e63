"""Sweeping: the requests of unsettled orders are sent again. mail/sender.py retries mails."""
