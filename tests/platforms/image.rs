//! The image of `make image`, by the rules of Istio's and Envoy Gateway's fetchers, and by skopeo.

use crate::tools::{program, root};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use tiergate::http::sha256::sha256_hex;

#[path = "../../envoy/image/oci.rs"]
mod oci;

use oci::{Image, image};

/// A module that does not compress to nothing.
fn module() -> Vec<u8> {
    let noise = (0_u32..50_000).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes());
    [b"\0asm\x01\0\0\0".to_vec(), noise.flatten().collect()].concat()
}

fn packed() -> Image {
    image(&module(), "1.2.3").unwrap()
}

fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert_eq!(entry.header().mtime().unwrap(), 0, "{name}");
        files.insert(name, bytes);
    }
    files
}

/// What a descriptor names, whose digest and size are right.
fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, described: &Value) -> &'a [u8] {
    let digest = described["digest"].as_str().unwrap();
    let bytes = &files[&format!("blobs/{}", digest.replace(':', "/"))];
    assert_eq!(digest, format!("sha256:{}", sha256_hex(bytes)));
    assert_eq!(described["size"], bytes.len());
    bytes
}

fn parsed(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn the_same_module_gives_the_same_bytes() {
    let (one, two) = (packed(), packed());
    assert_eq!(one.archive, two.archive);
    // A change of these digests is a change for everyone who pins one: it must be meant.
    assert_eq!(
        one.module_digest,
        format!("sha256:{}", sha256_hex(&module()))
    );
    let other = image(b"\0asm", "1.2.3").unwrap();
    assert_ne!(one.manifest_digest, other.manifest_digest);
}

/// `imagefetcher.go` of both: an OCI manifest of one platform, whose last layer is a tar with gzip, in
/// which a file has the base name plugin.wasm. The pinned digest is that of the manifest.
#[test]
fn the_fetchers_of_istio_and_envoy_gateway_find_the_module() {
    let packed = packed();
    let files = files(&packed.archive);
    assert_eq!(parsed(&files["oci-layout"])["imageLayoutVersion"], "1.0.0");
    let index = parsed(&files["index.json"]);
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 1, "no list of platforms, no attestation");
    assert_eq!(manifests[0]["digest"], packed.manifest_digest);
    let manifest = parsed(blob(&files, &manifests[0]));
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    assert_eq!(manifest["mediaType"], media_type);
    let layers = manifest["layers"].as_array().unwrap();
    let last = layers.last().unwrap();
    assert_eq!(
        last["mediaType"],
        "application/vnd.oci.image.layer.v1.tar+gzip"
    );
    let mut layer = Vec::new();
    GzDecoder::new(blob(&files, last))
        .read_to_end(&mut layer)
        .unwrap();
    let in_layer = self::files(&layer);
    let of_name = |path: &&String| {
        Path::new(path)
            .file_name()
            .is_some_and(|name| name == "plugin.wasm")
    };
    let path = in_layer.keys().find(of_name).unwrap();
    assert_eq!(in_layer[path], module());
    let config = parsed(blob(&files, &manifest["config"]));
    let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
    assert_eq!(
        diff_ids,
        &[Value::from(format!("sha256:{}", sha256_hex(&layer)))]
    );
    assert_eq!(files.len(), 2 + 1 + layers.len() + 1, "nothing else");
}

#[test]
fn skopeo_copies_the_image_and_keeps_the_digest() {
    let Some(skopeo) = program("skopeo") else {
        return;
    };
    let packed = packed();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let archive = dir.join("image.tar");
    fs::write(&archive, &packed.archive).unwrap();
    let run = |arguments: &[String]| {
        let output = Command::new(&skopeo)
            .args(arguments)
            .env("TMPDIR", &dir)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        output.stdout
    };
    let from = format!("oci-archive:{}", archive.display());
    let seen = parsed(&run(&["inspect".to_owned(), from.clone()]));
    assert_eq!(seen["Digest"], packed.manifest_digest);
    assert_eq!(
        (&seen["Architecture"], &seen["Os"]),
        (&"amd64".into(), &"linux".into())
    );
    let to = dir.join("copied");
    let copy = [
        "--insecure-policy",
        "copy",
        &from,
        &format!("dir:{}", to.display()),
    ];
    run(&copy.map(str::to_owned));
    let manifest = fs::read(to.join("manifest.json")).unwrap();
    assert_eq!(
        format!("sha256:{}", sha256_hex(&manifest)),
        packed.manifest_digest
    );
    fs::remove_dir_all(&dir).unwrap();
}

/// The engine's way to the same image has the one layer too.
#[test]
fn the_dockerfile_copies_the_module_once_from_nothing() {
    let text = fs::read_to_string(root().join("envoy/image/Dockerfile")).unwrap();
    let steps: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let copy = format!("COPY dist/tiergate.wasm /{}", oci::MODULE);
    assert_eq!(steps, ["FROM scratch", &copy]);
}
