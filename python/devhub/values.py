"""Checks and conversions of call arguments, and the query options many calls share."""

import fnmatch

import koji

NOT_GIVEN = object()


def convert_value(value, cast=None, message=None, exc_type=koji.ParameterError, none_allowed=False, check_only=False):
    """`value` as type `cast` (with `check_only`: unchanged, its type checked); ParameterError (1019) otherwise."""
    if value is None and none_allowed:
        return None
    if check_only:
        if isinstance(value, cast):
            return value
        raise exc_type(message or f"Invalid type for value '{value}': {type(value)}, expected type {cast}")
    try:
        if value is None:
            raise TypeError
        return cast(value)
    except (ValueError, TypeError):
        raise exc_type(message or f"Invalid type for value '{value}': {type(value)}, expected type {cast}") from None


def name_or_id(info):
    """The column (`name` or `id`) and value an argument identifies something by: int, string, or a struct with either."""
    if isinstance(info, dict):
        if "id" in info:
            info = convert_value(info["id"], int, f"Invalid name or id value: {info}")
        elif "name" in info:
            info = info["name"]
    if isinstance(info, bool) or not isinstance(info, (int, str)):
        raise koji.ParameterError(f"Invalid name or id value: {info}")
    return ("id" if isinstance(info, int) else "name"), info


def timestamp(value):
    """Seconds since the epoch from a number or Koji's time text; None stays None."""
    if value is None or isinstance(value, (int, float)):
        return value
    return koji.util.parseTime(convert_value(value, str, check_only=True))


def apply_query_opts(rows, options):
    """Applies Koji's queryOpts (order, offset, limit, countOnly, asList) to a list of rows."""
    options = options or {}
    known = {"countOnly", "order", "offset", "limit", "asList", "rowlock", "group"}
    if set(options) - known:
        raise koji.ParameterError("Invalid query options: " + ", ".join(sorted(set(options) - known)))
    for key in reversed((options.get("order") or "").split(",")):
        if key:
            name = key.lstrip("-")
            if rows and name not in rows[0]:
                raise koji.ParameterError(f"Invalid order: {name}")
            rows = sorted(rows, key=lambda row: (row[name] is not None, row[name]), reverse=key.startswith("-"))
    start = options.get("offset") or 0
    if start or options.get("limit") is not None:
        end = None if options.get("limit") is None else start + options["limit"]
        rows = rows[start:end]
    if options.get("countOnly"):
        return len(rows)
    if options.get("asList"):
        # Koji sorts the columns by their names
        return [[row[name] for name in sorted(row)] for row in rows]
    return rows


def matches_glob(text, pattern):
    """Koji's case-insensitive globs."""
    return fnmatch.fnmatchcase((text or "").lower(), pattern.lower())


OPERATORS = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "IN": lambda a, b: a in b,
    "IS": lambda a, b: a is b,
    "<": lambda a, b: a is not None and a < b,
    ">": lambda a, b: a is not None and a > b,
    "<=": lambda a, b: a is not None and a <= b,
    ">=": lambda a, b: a is not None and a >= b,
}


def query_view(rows, clauses=None, fields=None):
    """Koji's query views: rows that fulfil all clauses [field, value] or [field, operator, value], with the wanted fields."""
    for clause in clauses or ():
        field, operator, value = clause if len(clause) == 3 else (clause[0], "=", clause[-1])
        if operator not in OPERATORS:
            raise koji.ParameterError(f"Invalid operator: {operator}")
        if rows and field not in rows[0]:
            raise koji.ParameterError(f"Invalid field: {field}")
        rows = [row for row in rows if OPERATORS[operator](row[field], value)]
    if not fields or fields == "*" or fields == "**" or not rows:
        return rows
    unknown = set(fields) - set(rows[0])
    if unknown:
        raise koji.ParameterError(f"Invalid field: {sorted(unknown)[0]}")
    return [{field: row[field] for field in fields} for row in rows]
