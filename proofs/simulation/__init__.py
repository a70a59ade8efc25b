"""The application layer in a world of its own: virtual time, queues, broker, store and cache.

Everything that happens comes from a seed, so that whatever went wrong goes wrong again.
"""
