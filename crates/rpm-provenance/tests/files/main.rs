//! File accounting over layers as overlayfs makes them, with packages that rpm itself installed.

#![allow(clippy::unwrap_used)]

mod classes;
mod image;
mod obeyed;
mod rights;
#[path = "../support/mod.rs"]
mod support;
