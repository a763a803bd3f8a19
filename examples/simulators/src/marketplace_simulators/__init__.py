"""Simulators of the services outside of a marketplace: a payment gateway and a carrier.

``python -m marketplace_simulators.payments`` and ``python -m marketplace_simulators.carriers`` are programs
of their own; the README describes their HTTP interfaces.
"""
