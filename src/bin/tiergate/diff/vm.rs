//! The VM of a filter, where both files name it: a change of it begins all counters anew.

use super::settings::SettingChange;
use crate::check::load::LoadedConfig;

/// Returns the change of the VM, if there is one.
pub fn change(old: &LoadedConfig, new: &LoadedConfig, in_fleet: bool) -> Option<SettingChange> {
    let (from, to) = (old.vm.as_ref()?, new.vm.as_ref()?);
    let counters = match (from.may_be(to), in_fleet) {
        (true, false) => {
            "all begins anew, unless kubectl gives the file without a namespace the same one"
        }
        (true, true) => {
            "all of this Envoy begins anew, unless kubectl gives the file without a namespace the same \
             one; the store's counters stay"
        }
        (false, true) => {
            "all of this Envoy begins anew in another VM: counters, leases, directory, lowered \
             limits; the store's counters stay"
        }
        (false, false) => {
            "all begins anew in another VM: counters, leases, directory, lowered limits"
        }
    };
    let (from, to) = (from.to_string(), to.to_string());
    (from != to).then(|| SettingChange::new("vm_id", from.into(), to.into(), Some(counters)))
}
