//! A directory tree seen as the root of an image: paths in it are resolved inside it, whatever symlinks say.

mod root_dir;
mod users;

pub(crate) use root_dir::{Found, RootDir, components, file_type, lstat_in, make_dir, modification_time, open_dir_in};
pub use users::UserError;
pub(crate) use users::{ResolvedUser, Users};
