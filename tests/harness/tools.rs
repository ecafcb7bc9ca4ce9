//! Programs that a test needs and that may be missing.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The top of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program of `.tools` or of the PATH. Without one, it says so where nobody overlooks it.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = root().join(".tools/bin");
    let mut folders = std::iter::once(tools).chain(std::env::split_paths(&path));
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()));
    if found.is_none() {
        // Past the capture of a test's output.
        let says = format!("NOT CHECKED: no {name}; `make debian-tools` installs it\n");
        std::io::stderr().write_all(says.as_bytes()).unwrap();
    }
    found
}
