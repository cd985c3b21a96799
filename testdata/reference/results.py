"""The four results of a condition, and how they combine (FORMAT M-4.1)."""

TRUE, FALSE, UNKNOWN, UNSUPPORTED = "true", "false", "unknown", "unsupported"


def all_of(results):
    """FORMAT M-4.1, the first table."""
    results = list(results)
    for result in (FALSE, UNSUPPORTED, UNKNOWN):
        if result in results:
            return result
    return TRUE


def any_of(results):
    """FORMAT M-4.1, the second table."""
    results = list(results)
    for result in (TRUE, UNSUPPORTED, UNKNOWN):
        if result in results:
            return result
    return FALSE


def negation(result):
    """FORMAT M-4.1: `not` swaps true and false and keeps the other two."""
    return {TRUE: FALSE, FALSE: TRUE}.get(result, result)


def truth(condition):
    """A bool as a result."""
    return TRUE if condition else FALSE
