//! The containerbuild program: Koji builder worker and command line.
