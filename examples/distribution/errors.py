"""The error every step of the recipe raises, so that callers can tell a recipe that failed from a bug."""


class RecipeError(Exception):
    """The distribution cannot be made; the message says which step failed and on what."""
