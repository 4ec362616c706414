"""Questions read as what has to be the same in two of them before one answer may serve both."""
