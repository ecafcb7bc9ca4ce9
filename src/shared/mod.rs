//! Values of shared data: created once, changed with a compare-and-set.

pub mod cell;
mod cursor;
pub mod fields;
pub mod fill;
mod layout;
mod update;
pub mod varint;

pub use cursor::PageCursor;
pub use fill::{AllRecords, Fill};
pub use layout::Layout;
pub use update::{Change, Changed, StoreError, Target, update};
