//! dist-git against the real git program, real repositories and a real `git daemon`.

mod checkout;
mod fetched_tree;
mod hostile;
mod submodules;
mod support;
