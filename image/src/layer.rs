//! A layer: files, and the folders that they lie in, as a tar archive; and the same compressed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::{File, Result};

/// Sorted by path, all of root's, all of one time.
pub fn tar(files: &[File], time: u32) -> Result<Vec<u8>> {
    let mut entries = BTreeMap::new();
    for File { from, to } in files {
        let path = to.strip_prefix('/').ok_or_else(|| format!("{to} isn't an absolute path"))?;
        for (end, _) in path.match_indices('/') {
            entries.insert(path[..=end].to_owned(), None);
        }
        let content = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
        let runs = fs::metadata(from)?.permissions().mode() & 0o100 != 0;
        entries.insert(path.to_owned(), Some((content, runs)));
    }
    let mut archive = Builder::new(Vec::new());
    for (path, file) in entries {
        let mut header = Header::new_ustar();
        header.set_mtime(time.into());
        header.set_uid(0);
        header.set_gid(0);
        let (kind, mode, content) = match file {
            None => (EntryType::Directory, 0o755, Vec::new()),
            Some((content, true)) => (EntryType::Regular, 0o755, content),
            Some((content, false)) => (EntryType::Regular, 0o644, content),
        };
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content.as_slice())?;
    }
    Ok(archive.into_inner()?)
}

/// Without a name or a time in it.
pub fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}
