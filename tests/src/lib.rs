//! Cross-crate checks live in `tests/tests/`.
