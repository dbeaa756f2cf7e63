"""Machines made by Vagrant, from nothing, which needs Vagrant and a provider.

Run by `./stack test deployment`.
"""
