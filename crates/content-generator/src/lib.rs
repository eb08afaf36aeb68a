//! Koji content generator metadata, as a pure function of what was built.
