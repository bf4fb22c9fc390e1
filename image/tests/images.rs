//! The same input gives the same image; another input another one; and the Dockerfile's last stage is what is packed.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use image::{Image, dockerfile, layout};
use tempfile::TempDir;

const DOCKERFILE: &str = include_str!("../../Dockerfile");
const GIVEN: [(&str, &str); 3] = [("VERSION", "1.2.3"), ("REVISION", "abc"), ("CREATED", "2026-01-01T00:00:00Z")];

/// A folder as `image/build.sh` leaves it, but for what is in the files.
fn built(binary: &str, group_may: u32, age: u64) -> TempDir {
    let out = TempDir::new().unwrap();
    for (name, content, mode) in [("kratos-operator", binary, 0o700), ("ca-certificates.crt", "authorities", 0o600)] {
        let path = out.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode | group_may)).unwrap();
        let changed = SystemTime::now() - Duration::from_secs(age);
        File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
    }
    out
}

fn of_the_dockerfile(out: &Path) -> Image {
    dockerfile::last_stage(DOCKERFILE, out, &GIVEN).unwrap()
}

/// The digest of the image, and all files of its layout.
fn layout_of(out: &Path, created: u32) -> (String, Vec<(String, Vec<u8>)>) {
    let packed = of_the_dockerfile(out).pack("amd64", created).unwrap();
    let directory = TempDir::new().unwrap();
    let written = layout::write(&directory.path().join("oci"), "1.2.3", &[packed]).unwrap();
    let mut files = Vec::new();
    for folder in ["oci", "oci/blobs/sha256"] {
        for entry in fs::read_dir(directory.path().join(folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                files.push((entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
            }
        }
    }
    files.sort();
    (written.digest, files)
}

#[test]
fn the_same_content_gives_the_same_image_whatever_the_files_look_like() {
    let (one, two) = (built("program", 0, 0), built("program", 0o055, 86400));
    assert_eq!(layout_of(one.path(), 7), layout_of(two.path(), 7));
}

#[test]
fn another_content_or_time_gives_another_image() {
    let (one, two) = (built("program", 0, 0), built("another", 0, 0));
    let (digest, _) = layout_of(one.path(), 7);
    assert_ne!(digest, layout_of(two.path(), 7).0);
    assert_ne!(digest, layout_of(one.path(), 8).0);
}

#[test]
fn each_file_of_a_layout_is_named_by_its_content() {
    let (digest, files) = layout_of(built("program", 0, 0).path(), 7);
    let blobs: Vec<_> = files.iter().filter(|(name, _)| name.len() == 64).collect();
    assert_eq!(blobs.len(), 4, "index, manifest, configuration, layer");
    for (name, content) in blobs {
        assert_eq!(image::digest(content), format!("sha256:{name}"));
    }
    assert!(files.iter().any(|(name, _)| digest == format!("sha256:{name}")));
}

#[test]
fn the_dockerfile_makes_a_binary_and_authorities_for_a_user_that_is_a_number() {
    let out = built("program", 0, 0);
    let image = of_the_dockerfile(out.path());
    let paths: Vec<_> = image.files.iter().map(|file| file.to.as_str()).collect();
    assert_eq!(paths, ["/kratos-operator", "/etc/ssl/certs/ca-certificates.crt"]);
    assert_eq!(image.entrypoint, ["/kratos-operator"]);
    let (user, group) = image.user.split_once(':').unwrap();
    assert!(user.parse::<u32>().unwrap() > 0 && group.parse::<u32>().unwrap() > 0);
    assert_eq!(image.labels["org.opencontainers.image.version"], "1.2.3");

    let packed = image.pack("amd64", 0).unwrap();
    let mut archive = tar::Archive::new(packed.layer.as_slice());
    let entries: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            let path = entry.path().unwrap().display().to_string();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0), "{path}");
            (path, header.mode().unwrap())
        })
        .collect();
    let expected = [
        ("etc/", 0o755),
        ("etc/ssl/", 0o755),
        ("etc/ssl/certs/", 0o755),
        ("etc/ssl/certs/ca-certificates.crt", 0o644),
        ("kratos-operator", 0o755),
    ];
    assert_eq!(entries, expected.map(|(path, mode)| (path.to_owned(), mode)));
}

#[test]
fn what_the_packer_does_not_know_is_refused_and_not_left_out() {
    let last =
        |lines: &str| dockerfile::last_stage(&format!("FROM a\nFROM scratch\n{lines}"), Path::new("/out"), &GIVEN);
    last("ARG VERSION\nLABEL a=\"$VERSION\"\nUSER 1:1").unwrap();
    for line in [
        "ENV A=b",
        "RUN true",
        "COPY --from=other /out/a /a",
        "COPY a /a",
        "ENTRYPOINT /kratos-operator",
        "LABEL a=\"$VERSION\"",
        "ARG UNKNOWN",
    ] {
        last(line).expect_err(line);
    }
    dockerfile::last_stage("FROM debian\nUSER 1:1", Path::new("/out"), &GIVEN).unwrap_err();
}
