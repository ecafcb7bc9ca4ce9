//! A wasm module as an OCI image, in the variant "compat" that Istio and Envoy Gateway read: the last
//! layer is a tar with gzip that has a file `plugin.wasm`.
//!
//! The bytes depend on the module and on this code alone: no time, no user, no machine.

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use std::io::{self, Write as _};
use tar::{Builder, EntryType, Header};
use tiergate::http::sha256::sha256_hex;

/// The file of the module in its layer. Both fetchers look for this name.
pub const MODULE: &str = "plugin.wasm";

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An OCI image layout in a tar, and what operators pin of it.
pub struct Image {
    /// The `oci-archive` that skopeo, crane and podman read.
    pub archive: Vec<u8>,
    /// `sha256:…` of the module: for `code.remote`, and for `http(s)://` in Istio.
    pub module_digest: String,
    /// `sha256:…` of the manifest: for `oci://…@sha256:…`.
    pub manifest_digest: String,
}

/// Packs a module.
///
/// # Errors
/// Fails when a part is larger than a tar can say.
pub fn image(module: &[u8], version: &str) -> io::Result<Image> {
    let layer_tar = tar_of(&[(MODULE, module)])?;
    let layer = Blob::new(gzip(&layer_tar)?);
    let config = Blob::of_json(&json!({
        // Hosts take the module whatever this is, but a registry may ask for a platform.
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer_tar)]}
    }));
    let manifest = Blob::of_json(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.described(CONFIG),
        "layers": [layer.described(LAYER)],
        "annotations": {
            "module.wasm.image/variant": "compat",
            "org.opencontainers.image.title": "tiergate",
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.licenses": "Apache-2.0"
        }
    }));
    let index = Blob::of_json(&json!({
        "schemaVersion": 2,
        "manifests": [manifest.described(MANIFEST)]
    }));
    let [config_path, layer_path, manifest_path] = [&config, &layer, &manifest].map(Blob::path);
    let archive = tar_of(&[
        ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#),
        ("index.json", &index.bytes),
        (&config_path, &config.bytes),
        (&layer_path, &layer.bytes),
        (&manifest_path, &manifest.bytes),
    ])?;
    Ok(Image {
        archive,
        module_digest: digest(module),
        manifest_digest: manifest.digest,
    })
}

/// Bytes that are known by their digest.
struct Blob {
    bytes: Vec<u8>,
    digest: String,
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        let digest = digest(&bytes);
        Self { bytes, digest }
    }

    fn of_json(value: &Value) -> Self {
        Self::new(value.to_string().into_bytes())
    }

    fn described(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest, "size": self.bytes.len()})
    }

    fn path(&self) -> String {
        format!("blobs/{}", self.digest.replace(':', "/"))
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256_hex(bytes))
}

fn tar_of(files: &[(&str, &[u8])]) -> io::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(u64::try_from(bytes.len()).map_err(io::Error::other)?);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, name, *bytes)?;
    }
    tar.into_inner()
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    // 255 is "unknown": the byte would name the system that packed it.
    let header = GzBuilder::new().mtime(0).operating_system(255);
    let mut writer = header.write(Vec::new(), Compression::best());
    writer.write_all(bytes)?;
    writer.finish()
}
