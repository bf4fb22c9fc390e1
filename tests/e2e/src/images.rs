//! The images that the node has, made without an engine: the operator's in three forms, Kratos', and what holds a pod's
//! namespaces. Nothing is pulled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use image::{File, Image, archive, dockerfile};

use crate::shell::{Result, run};

/// As the chart calls it.
const OPERATOR: &str = "ghcr.io/kratos-operator/kratos-operator";
/// The version after the one that is built here: the same program in another image.
pub const NEXT: &str = "0.0.0-next";
/// Without certificate authorities.
pub const BARE: &str = "0.0.0-bare";

/// Writes the archives into a directory. `built` holds what `image/build.sh` made of the operator.
pub fn write(built: &Path, architecture: &str, directory: &Path) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::create_dir_all(directory)?;
    let write = |name: &str, tag: &str, image: &Image| {
        archive::write(&directory.join(format!("{name}.tar")), tag, &image.pack(architecture, 0)?)
    };

    let source = fs::read_to_string(root.join("Dockerfile"))?;
    // One that isn't compiled to be released isn't static.
    let libraries_of_the_operator = libraries(&built.join("kratos-operator"))?;
    let operator = |version: &str| {
        let given = [("VERSION", version), ("REVISION", ""), ("CREATED", "")];
        let mut image = dockerfile::last_stage(&source, built, &given)?;
        image.files.extend_from_slice(&libraries_of_the_operator);
        Result::Ok(image)
    };
    let version = version(&root)?;
    write("operator", &format!("{OPERATOR}:{version}"), &operator(&version)?)?;
    write("next", &format!("{OPERATOR}:{NEXT}"), &operator(NEXT)?)?;
    let mut bare = operator(BARE)?;
    bare.files.retain(|file| !file.to.starts_with("/etc/ssl"));
    write("bare", &format!("{OPERATOR}:{BARE}"), &bare)?;

    let pause = Image {
        files: vec![file("/bin/busybox", "/bin/busybox")],
        user: "65535:65535".to_owned(),
        entrypoint: ["/bin/busybox", "sleep", "2147483647"].map(str::to_owned).to_vec(),
        ..Image::default()
    };
    write("pause", "localhost/pause:1", &pause)?;

    let program = component(&root, "kratos");
    let mut files = libraries(&program)?;
    files.push(File { from: program, to: "/kratos".to_owned() });
    let kratos = Image {
        files,
        user: "65532:65532".to_owned(),
        entrypoint: vec!["/kratos".to_owned()],
        environment: vec!["HOME=/tmp".to_owned()],
        labels: BTreeMap::new(),
    };
    write("kratos", "localhost/kratos:1", &kratos)
}

/// The operator's version.
fn version(root: &Path) -> Result<String> {
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = ")).ok_or("Cargo.toml has no version")?;
    Ok(line.trim_matches('"').to_owned())
}

fn file(from: &str, to: &str) -> File {
    File { from: PathBuf::from(from), to: to.to_owned() }
}

fn component(root: &Path, name: &str) -> PathBuf {
    let given = env::var_os("KUBEBUILDER_ASSETS").map(|assets| Path::new(&assets).join(name));
    given.filter(|path| path.exists()).unwrap_or_else(|| root.join("target/testenv/bin").join(name))
}

/// What a program is linked to, in the places where it looks for it. Of a static one: nothing.
fn libraries(program: &Path) -> Result<Vec<File>> {
    let listed = match run("ldd", program.to_str().ok_or("not UTF-8")?, "") {
        Err(error) if error.to_string().contains("not a dynamic executable") => return Ok(Vec::new()),
        listed => listed?,
    };
    let paths = listed.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(|path| file(path, path)).collect())
}
