//! Values of shared data: created once, changed with a compare-and-set.

pub mod cell;
pub mod fill;
pub mod varint;

pub use cell::ValueError;
pub use fill::Fill;
