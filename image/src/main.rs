//! `make image`: packs what `image/build.sh` left in `OUT/amd64` and `OUT/arm64` as the Dockerfile's last stage says.
//!
//! usage: `image OUT VERSION REVISION ARCHITECTURE…`, with `SOURCE_DATE_EPOCH` in the environment

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use image::{Result, archive, dockerfile, layout};
use jiff::Timestamp;

/// Where the chart looks for the image, so that one which was loaded from an archive is found.
const REPOSITORY: &str = "ghcr.io/kratos-operator/kratos-operator";

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let [out, version, revision, architectures @ ..] = arguments else {
        return Err("usage: image OUT VERSION REVISION ARCHITECTURE…".into());
    };
    let out = PathBuf::from(out);
    let epoch: u32 = env::var("SOURCE_DATE_EPOCH").map_err(|_| "SOURCE_DATE_EPOCH isn't set")?.parse()?;
    let created = Timestamp::from_second(epoch.into())?.to_string();
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Dockerfile"))?;
    let given = [("VERSION", version.as_str()), ("REVISION", revision.as_str()), ("CREATED", created.as_str())];

    let mut images = Vec::new();
    for architecture in architectures {
        images.push(dockerfile::last_stage(&source, &out.join(architecture), &given)?.pack(architecture, epoch)?);
    }
    let directory = out.join("oci");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    let written = layout::write(&directory, version, &images)?;
    println!("{}  {} as an OCI layout", written.digest, directory.display());
    for (image, compressed) in images.iter().zip(written.compressed) {
        let file = out.join(format!("kratos-operator-{}.tar", image.architecture));
        archive::write(&file, &format!("{REPOSITORY}:{version}"), image)?;
        let (unpacked, pulled) = (mebibytes(image.layer.len()), mebibytes(compressed));
        println!("{}  {}: {unpacked} MiB, {pulled} MiB compressed", image::digest(&image.config), file.display());
    }
    Ok(())
}

/// With one decimal.
fn mebibytes(bytes: usize) -> String {
    let tenths = bytes * 10 / (1024 * 1024);
    format!("{}.{}", tenths / 10, tenths % 10)
}
