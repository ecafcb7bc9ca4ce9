//! `tiergate diff` of files that name the VM, in which all counters are.

use crate::{file, tiergate};

fn envoy(vm_config: &str) -> String {
    format!(
        "name: tiergate\nvm_config: {vm_config}\nconfiguration: {{\"@type\": type.googleapis.com/google.protobuf.Struct, value: {{mode: shadow}}}}\n"
    )
}

fn policy(metadata: &str, wasm: &str) -> String {
    format!("kind: EnvoyExtensionPolicy\nmetadata: {metadata}\nspec:\n  wasm: {wasm}\n")
}

fn wasm_plugin(metadata: &str) -> String {
    format!("kind: WasmPlugin\nmetadata: {metadata}\nspec: {{pluginConfig: {{mode: shadow}}}}\n")
}

const OURS: &str = "[{name: tiergate, config: {mode: shadow}}]";
const SECOND: &str = "[{name: other}, {name: tiergate, config: {mode: shadow}}]";
const NAMED: &str = "{name: tiers, namespace: prod}";

/// Compares two files of the test `name`: the exit code and the output.
fn compared(name: &str, old: &str, new: &str) -> (i32, String) {
    let old = file(&format!("vm_{name}_old.yaml"), old);
    let new = file(&format!("vm_{name}_new.yaml"), new);
    let ran = tiergate(&["diff", &old, &new]);
    assert_eq!(ran.err, "");
    (ran.code, ran.out)
}

#[test]
fn another_vm_begins_all_counters_anew() {
    let effect = "all begins anew in another VM: counters, leases, directory, lowered limits";
    let at = |namespace: &str, name: &str, place: usize| {
        format!("envoyextensionpolicy/{namespace}/{name}/wasm/{place}")
    };
    for (old, new, ids) in [
        (
            envoy("{vm_id: a}"),
            envoy("{vm_id: b}"),
            ["a", "b"].map(str::to_owned),
        ),
        (
            envoy("{vm_id: a}"),
            envoy("{}"),
            ["a", "\"\""].map(str::to_owned),
        ),
        (
            envoy("{}"),
            envoy("{vm_id: 7}"),
            ["\"\"", "7"].map(str::to_owned),
        ),
        (
            envoy("{vm_id: a}"),
            wasm_plugin("{name: tiergate}"),
            ["a", "\"\""].map(str::to_owned),
        ),
        (
            policy(NAMED, OURS),
            policy("{name: others, namespace: prod}", OURS),
            [at("prod", "tiers", 0), at("prod", "others", 0)],
        ),
        (
            policy(NAMED, OURS),
            policy("{name: tiers, namespace: test}", OURS),
            [at("prod", "tiers", 0), at("test", "tiers", 0)],
        ),
        (
            policy(NAMED, OURS),
            policy(NAMED, SECOND),
            [at("prod", "tiers", 0), at("prod", "tiers", 1)],
        ),
        (
            policy("{name: tiers}", OURS),
            policy(NAMED, SECOND),
            [at("{namespace}", "tiers", 0), at("prod", "tiers", 1)],
        ),
    ] {
        let [from, to] = ids;
        let expected = format!("settings\n  vm_id  {from} -> {to}\n           {effect}\n");
        assert_eq!(compared("anew", &old, &new), (1, expected), "{old}{new}");
    }
}

#[test]
fn a_namespace_that_one_file_leaves_open_may_be_the_same() {
    let (code, out) = compared("open", &policy("{name: tiers}", OURS), &policy(NAMED, OURS));
    assert_eq!(code, 1);
    let effect = "all begins anew, unless kubectl gives the file without a namespace the same one";
    assert!(out.contains(effect), "{out}");
}

#[test]
fn in_a_fleet_the_counters_of_the_store_outlive_a_vm() {
    let in_fleet = |id: &str| {
        let fleet = "{fleet: {cluster: c, authority: a}}";
        format!(
            "name: tiergate\nvm_config: {{vm_id: {id}}}\nconfiguration: {{\"@type\": type.googleapis.com/google.protobuf.Struct, value: {fleet}}}\n"
        )
    };
    let (_, out) = compared("fleet", &in_fleet("a"), &in_fleet("b"));
    assert!(out.contains("the store's counters stay"), "{out}");
    let ours = "[{name: tiergate, config: {fleet: {cluster: c, authority: a}}}]";
    let (old, new) = (policy("{name: tiers}", ours), policy(NAMED, ours));
    let (_, out) = compared("open_fleet", &old, &new);
    assert!(out.contains("same one; the store's counters stay"), "{out}");
}

#[test]
fn the_same_vm_is_no_change() {
    let same = "envoyextensionpolicy/prod/tiers/wasm/0";
    for (old, new) in [
        (envoy("{vm_id: a}"), envoy("{vmId: a, runtime: x}")),
        (envoy("{}"), envoy("{vm_id: ''}")),
        (envoy("{}"), envoy("{vm_id: null}")),
        (envoy("{}"), wasm_plugin("{name: tiergate}")),
        (
            wasm_plugin("{name: tiergate}"),
            wasm_plugin("{name: others, namespace: b}"),
        ),
        (policy(NAMED, OURS), policy(NAMED, OURS)),
        (policy("{name: tiers}", OURS), policy("{name: tiers}", OURS)),
        (policy(NAMED, OURS), envoy(&format!("{{vm_id: {same}}}"))),
        (envoy("{vm_id: a}"), "mode: shadow\n".to_owned()),
    ] {
        let expected = (0, "no change\n".to_owned());
        assert_eq!(compared("same", &old, &new), expected, "{old}{new}");
    }
}
