//! Temporary directories that are deleted when the process ends, even if it is killed. Removes nothing else.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::Result;

/// Waits until its input ends, which happens when the process that started it is gone, and removes the directory. Retries while
/// processes that are being killed still write.
const JANITOR: &str = r#"cat >/dev/null; for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" && exit; sleep 0.2; done"#;

#[derive(Debug)]
pub struct WorkDir {
    dir: Option<TempDir>,
    janitor: Child,
}

impl WorkDir {
    pub fn new(prefix: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix(prefix).tempdir()?;
        let janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(dir.path())
            // Ctrl-C at a terminal must not end it before it is done.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { dir: Some(dir), janitor })
    }

    pub fn path(&self) -> &Path {
        self.dir.as_ref().expect("there until dropped").path()
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        self.dir = None;
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}
