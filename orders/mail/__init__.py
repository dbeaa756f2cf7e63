"""Mails about orders: written as rows with each change, sent by mail-worker."""
