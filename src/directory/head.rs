//! The head of the directory: its size, and the import in force (key `{namespace}/directory`).

use crate::shared::Layout;
use crate::shared::cell::Content;
use serde::{Deserialize, Serialize};

/// The head of a namespace's directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryHead {
    /// The number of pages; 0 before they are created.
    pub pages: u32,
    /// True once the directory is complete.
    pub ready: bool,
    /// The generation of the last whole import; 0 before the first.
    pub in_force: u32,
    /// The generation of the last import that wrote.
    pub last: u32,
    /// True while an import's staged entries may be on the pages.
    pub unsettled: bool,
}

impl Content for DirectoryHead {
    const LAYOUT: Layout = Layout {
        name: "the directory's head",
        version: 2,
        kind: b'M',
    };
    const KEY: &'static str = "directory";

    fn is_valid(&self) -> bool {
        self.in_force <= self.last
    }
}
