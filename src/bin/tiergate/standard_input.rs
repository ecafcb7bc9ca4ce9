//! Standard input among the files of a command: it has several names, and can be read once.

use std::path::Path;

/// The names of standard input: the one of this command line, and those of the system.
const NAMES: [&str; 4] = ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"];

/// True where the paths name standard input more than once.
pub fn is_there_twice<'a>(paths: impl IntoIterator<Item = &'a Path>) -> bool {
    let is_input = |path: &&Path| NAMES.iter().any(|name| *path == Path::new(name));
    paths.into_iter().filter(is_input).nth(1).is_some()
}
