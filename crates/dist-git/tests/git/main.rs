//! dist-git against the real git program, real repositories and a real `git daemon`.

mod checkout;
mod hostile;
mod support;
