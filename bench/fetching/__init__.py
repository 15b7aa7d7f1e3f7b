"""What bench/fetch.py is made of: data, the proxy, the sides that are compared, the measurements."""
