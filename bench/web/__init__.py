"""How fast the page is, in a real browser behind nginx with TLS: `make bench-web`."""
