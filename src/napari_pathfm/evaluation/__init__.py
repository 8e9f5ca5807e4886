"""Protocols that say how good an encoder, a head or a generator is."""
