//! Hub extension.
