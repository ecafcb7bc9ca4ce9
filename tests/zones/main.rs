//! Time zones against jiff, which reads all of tzdata: the table of the module is what tzdata says,
//! and each zone has jiff's offsets and jiff's days, weeks and months.
#![allow(missing_docs, clippy::restriction)]

mod oracle;
mod table;
