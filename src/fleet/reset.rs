//! The reset of an account that an operator ordered at the service.

use super::allowances::Allowances;
use crate::limits::record::Record;
use crate::time::Now;

/// Begins the use of an account anew, where `generation` is newer than the one that the record knows;
/// false where nothing changed. Requests in flight stay.
pub fn reset(record: &mut Record, generation: u32, now: Now) -> bool {
    let own = Allowances::read(record);
    if own.as_ref().is_some_and(|own| own.generation >= generation) {
        return false;
    }
    record.clear_usage();
    if let Some(mut own) = own {
        own.reset(generation, now.mono);
        own.write(record, now.mono);
    }
    true
}
