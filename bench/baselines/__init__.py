"""The same market written in other ways: numba, NumPy and plain Python.

They know one case only, the one that is measured: uniform price, lower kink, the last offer's price in
shortage, ties pro rata, no floor and no cap, demand noise, observations of the preset ``simple_v3``
(`observers` knows ``basic`` as well).
"""
