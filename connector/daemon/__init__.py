"""The nightly daemon: when something is due, who is told of it, and what shows that it lives.

It decides nothing about people: it calls the verbs of `connector.app` at the right time, on one machine at a time.
"""
