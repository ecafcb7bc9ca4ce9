//! The rules of CRDs that no JSON Schema can say, for each Kubernetes file: `cel.py` evaluates them.

use crate::crds::folder;
use crate::tools::root;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The Python with an evaluator of CEL.
fn python() -> Option<PathBuf> {
    let python = root().join(".tools/bin/python");
    let imports = ["-c", "import celpy, yaml; yaml.CSafeLoader"];
    let has_cel = Command::new(&python).args(imports).output();
    if has_cel.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    // Past the capture of a test's output: a skip must be seen.
    let says = "NO CEL RULE WAS CHECKED: `make .tools/clients` installs what evaluates them\n";
    std::io::stderr().write_all(says.as_bytes()).unwrap();
    None
}

fn evaluated(python: &Path, crds: &Path, files: &[PathBuf]) -> Output {
    let script = root().join("tests/platforms/cel.py");
    let mut command = Command::new(python);
    command.arg(script).arg(crds).args(files).output().unwrap()
}

fn files_of(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The releases' files: which objects of ours they have the CRDs of.
fn releases(crds: &Path) -> Vec<(PathBuf, &'static str)> {
    let entries = fs::read_dir(crds).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf, part: &str| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(part) && name.ends_with(".yaml")
    };
    let of_folder = |path: PathBuf| {
        let folder = match () {
            () if named(&path, "istio-") => "envoy/istio",
            () if named(&path, "envoy-gateway-") => "envoy/gateway",
            () => return None,
        };
        Some((path, folder))
    };
    paths.filter_map(of_folder).collect()
}

#[test]
fn each_file_keeps_the_rules_of_each_release() {
    let (Some(crds), Some(python)) = (folder(), python()) else {
        return;
    };
    for (release, folder) in releases(&crds) {
        let output = evaluated(&python, &release, &files_of(folder));
        let problems = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {problems}", release.display());
        let counts = String::from_utf8_lossy(&output.stdout);
        let numbers = counts.lines().map(|line| line.rsplit(' ').next().unwrap());
        let sum: u32 = numbers.map(|number| number.parse::<u32>().unwrap()).sum();
        println!("{}: {sum} rules hold", release.display());
        assert!(sum >= 20, "{counts}");
    }
}

#[test]
fn a_broken_rule_is_seen() {
    let Some(python) = python() else {
        return;
    };
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cel-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let crd = "spec: {group: g, names: {kind: K}, versions: [{name: v1, schema: {openAPIV3Schema: {properties: {spec: {
        properties: {type: {default: HTTP}, image: {}},
        x-kubernetes-validations: [{rule: \"self.type == 'Image' ? has(self.image) : !has(self.image)\"}]}}}}}]}";
    fs::write(dir.join("crd.yaml"), crd).unwrap();
    let of = |name: &str, spec: &str| {
        let object = format!("apiVersion: g/v1\nkind: K\nspec: {spec}\n");
        fs::write(dir.join(name), object).unwrap();
        evaluated(&python, &dir.join("crd.yaml"), &[dir.join(name)])
    };
    let good = of("good.yaml", "{type: Image, image: x}");
    assert!(
        good.status.success(),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
    let bad = of("bad.yaml", "{image: x}");
    let problem = String::from_utf8_lossy(&bad.stderr);
    assert!(
        !bad.status.success() && problem.contains("K at .spec: self.type"),
        "{problem}"
    );
    fs::remove_dir_all(&dir).unwrap();
}
