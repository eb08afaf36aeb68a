//! Dockerfile text to instructions to a stage plan; word expansion; dockerignore; lint rules. Pure.
