//! Packs `dist/tiergate.wasm` as an OCI image, without a container engine: `make image`.

mod oci;

use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [module, archive] = arguments.as_slice() else {
        eprintln!("usage: oci-image MODULE ARCHIVE");
        return ExitCode::from(2);
    };
    match pack(module, archive) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{module}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn pack(module: &str, archive: &str) -> io::Result<()> {
    let module = fs::read(module)?;
    let image = oci::image(&module, env!("CARGO_PKG_VERSION"))?;
    fs::write(archive, &image.archive)?;
    println!("{archive}: {} bytes", image.archive.len());
    println!(
        "manifest {}  (oci://…@sha256:…, what Istio and Envoy Gateway compare)",
        image.manifest_digest
    );
    println!(
        "module   {}  (code.remote.sha256, and http(s):// in Istio)",
        image.module_digest
    );
    Ok(())
}
