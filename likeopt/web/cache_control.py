"""The kinds of response by who may keep them, as values of Cache-Control (RFC 9111)."""

# Somebody's own data, and everything that nothing else was said about.
PERSONAL = "no-store"
# A page with such data in it, where pages are otherwise kept and asked about.
PERSONAL_PAGE = "private, no-store"
# The same bytes for ever under this address: only hashed files that the build's manifest lists.
IMMUTABLE = "public, max-age=31536000, immutable"
# May be kept, must be asked about each time; carries an ETag.
REVALIDATED = "no-cache"
# The same, but only in the reader's own browser: who may read it can change.
PRIVATE_REVALIDATED = "private, no-cache"
