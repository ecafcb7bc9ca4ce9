//! The VM of a filter, by which Envoy keeps shared data: another VM sees none of the counters.

use super::find::get;
use super::tree::{DocNode, DocValue};
use std::fmt;

/// The `vm_id` of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VmIdentity {
    /// As written; empty where nothing is written, and in each plugin of Istio.
    Written(String),
    /// As Envoy Gateway makes it of a policy.
    Policy {
        /// `None` where kubectl chooses it.
        namespace: Option<String>,
        /// The rest: the policy's name, and the place in its list.
        rest: String,
    },
}

impl VmIdentity {
    /// Returns the identity by the `vm_config` of a filter.
    pub fn of_filter(plugin: &DocNode) -> Self {
        let vm = get(plugin, "vm_config", "vmConfig");
        let id = vm.and_then(|vm| get(vm, "vm_id", "vmId"));
        Self::Written(id.map(scalar).unwrap_or_default())
    }

    /// Returns the identity of a plugin of Istio.
    pub const fn of_istio() -> Self {
        Self::Written(String::new())
    }

    /// Returns the identity by an EnvoyExtensionPolicy, and a place in its list `wasm`.
    pub fn of_policy(policy: &DocNode, place: usize) -> Self {
        let written = |name| policy.get_in(&["metadata", name]).map(scalar);
        let name = written("name").unwrap_or_default();
        Self::Policy {
            namespace: written("namespace").filter(|namespace| !namespace.is_empty()),
            rest: format!("{name}/wasm/{place}"),
        }
    }

    /// True when two identities differ in a namespace alone that one of them leaves open.
    pub fn may_be(&self, other: &Self) -> bool {
        let parts = |one: &Self| match one {
            Self::Policy { namespace, rest } => Some((namespace.clone(), rest.clone())),
            Self::Written(_) => None,
        };
        let (Some((here, rest)), Some((there, same))) = (parts(self), parts(other)) else {
            return false;
        };
        rest == same && (here.is_none() || there.is_none())
    }
}

impl fmt::Display for VmIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written(id) => f.write_str(id),
            Self::Policy { namespace, rest } => {
                let namespace = namespace.as_deref().unwrap_or("{namespace}");
                write!(f, "envoyextensionpolicy/{namespace}/{rest}")
            }
        }
    }
}

/// Returns a value as text: YAML has ids of digits alone as numbers.
fn scalar(node: &DocNode) -> String {
    match &node.value {
        DocValue::Null => String::new(),
        DocValue::Text(text) => text.clone(),
        _ => node.json(),
    }
}
