"""Like-Opt: AI chat over your own documents, built for speed."""

__version__ = "0.1.0"
