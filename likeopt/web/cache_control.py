"""The kinds of response by who may keep them, as values of Cache-Control (RFC 9111)."""

# Somebody's own data, and everything that nothing else was said about.
PERSONAL = "no-store"
# A page with such data in it, where pages are otherwise kept and asked about.
PERSONAL_PAGE = "private, no-store"
# The same bytes for ever under this address: only hashed files that the build's manifest lists.
IMMUTABLE = "public, max-age=31536000, immutable"
# The same for everybody, and under one address from release to release: any cache may hand it out
# for ten minutes, and for another hour while it fetches the next (RFC 5861).
SHARED = "public, max-age=600, stale-while-revalidate=3600"
# May be kept, must be asked about each time; carries an ETag.
REVALIDATED = "no-cache"
# The same, but only in the reader's own browser: who may read it can change.
PRIVATE_REVALIDATED = "private, no-cache"
