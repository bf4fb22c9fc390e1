//! The database of a Kratos: a file of `SQLite`, or with `KRATOS_DATABASE=postgresql` a database of a `PostgreSQL` server that
//! the tests of a binary share. Gives Kratos' `dsn`; doesn't touch the content.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::Result;
use super::ports::Port;
use super::process::{Process, eventually};
use super::workdir::WorkDir;

/// `sqlite` (the default) or `postgresql`.
const WHICH: &str = "KRATOS_DATABASE";

/// Debian's package makes this user; the server refuses to run as root.
const USER: &str = "postgres";

const START: Duration = Duration::from_mins(1);

/// The two databases of one Kratos. One of them is in use.
#[derive(Debug)]
pub struct Databases {
    current: String,
    aside: String,
}

impl Databases {
    /// For a Kratos whose files are in `dir`. Both are empty, without tables.
    pub async fn new(dir: &Path) -> Result<Self> {
        if !on_postgresql() {
            return Ok(Self { current: sqlite(dir, "kratos.sqlite"), aside: sqlite(dir, "aside.sqlite") });
        }
        let server = PostgreSql::shared().await;
        Ok(Self { current: server.database().await?, aside: server.database().await? })
    }

    /// The `dsn` of the one in use.
    pub fn dsn(&self) -> &str {
        &self.current
    }

    /// From now on the other one is in use.
    pub fn exchange(&mut self) {
        std::mem::swap(&mut self.current, &mut self.aside);
    }
}

/// Whether the tests run on `PostgreSQL`, where texts have lengths and keys of JSON another order.
pub fn on_postgresql() -> bool {
    match std::env::var(WHICH).as_deref() {
        Err(_) | Ok("" | "sqlite") => false,
        Ok("postgresql") => true,
        Ok(other) => panic!("{WHICH}={other}: sqlite or postgresql"),
    }
}

/// `lock=false`: two requests could take the database layer's own mutex and `SQLite`'s lock in opposite orders, and wait for
/// each other until the busy time-out ("database is locked").
fn sqlite(dir: &Path, file: &str) -> String {
    let options = "_fk=true&_journal_mode=WAL&_synchronous=OFF&_busy_timeout=30000&_txlock=immediate&lock=false";
    format!("sqlite://{}?{options}", dir.join(file).display())
}

/// A real server on loopback. Fields are dropped in this order: the process before its files.
struct PostgreSql {
    _process: Process,
    port: Port,
    made: AtomicUsize,
    _dir: WorkDir,
}

impl PostgreSql {
    /// The one that all Kratos of this binary share. It ends with the process.
    async fn shared() -> &'static Self {
        static SHARED: tokio::sync::OnceCell<PostgreSql> = tokio::sync::OnceCell::const_new();
        SHARED.get_or_init(async || Self::start().await.unwrap_or_else(|error| panic!("no PostgreSQL: {error}"))).await
    }

    async fn start() -> Result<Self> {
        let dir = WorkDir::new("postgresql-")?;
        let (data, port) = (dir.path().join("data"), Port::reserve()?);
        std::fs::create_dir(&data)?;
        if is_root(&data)? {
            let user = Command::new("id").args(["-u", USER]).output()?;
            let id = String::from_utf8_lossy(&user.stdout).trim().parse().map_err(|_| format!("no user {USER}"))?;
            chown(&data, Some(id), None)?;
            std::fs::set_permissions(dir.path(), Permissions::from_mode(0o711))?;
        }
        let made = command(&data, "initdb")?
            .args(["--auth=trust", "--username=kratos", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-D"])
            .arg(&data)
            .output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
        }
        let mut server = command(&data, "postgres")?;
        server.arg("-D").arg(&data);
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", port.number()),
            "unix_socket_directories=".to_owned(),
            "max_connections=600".to_owned(),
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
            "synchronous_commit=off".to_owned(),
        ];
        for setting in &settings {
            server.args(["-c", setting]);
        }
        let process = Process::start("postgres", &server, &dir.path().join("postgresql.log"))?;
        let this = Self { _process: process, port, made: AtomicUsize::new(0), _dir: dir };
        eventually("PostgreSQL answers", START, async || {
            let asked = this.client("pg_isready").ok()?.output().ok()?;
            asked.status.success().then_some(())
        })
        .await?;
        Ok(this)
    }

    /// Creates an empty database, and returns its `dsn`.
    async fn database(&self) -> Result<String> {
        let name = format!("kratos{}", self.made.fetch_add(1, Ordering::Relaxed));
        let mut creation = tokio::process::Command::from(self.client("createdb")?);
        let made = creation.arg(&name).output().await?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
        }
        Ok(format!("postgres://kratos@{}/{name}?sslmode=disable&max_conns=40", self.port.address()))
    }

    fn client(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(program(name)?);
        command.args(["-h", "127.0.0.1", "-U", "kratos", "-p", &self.port.number().to_string()]);
        Ok(command)
    }
}

/// The program, run as [`USER`] if we are root: by `setpriv`, which replaces itself with it, so that signals reach it.
fn command(data: &Path, name: &str) -> Result<Command> {
    let program = program(name)?;
    let as_other = std::fs::metadata(data)?.uid() != own_id()?;
    let mut command = if as_other { Command::new("setpriv") } else { Command::new(&program) };
    if as_other {
        let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
        command.args([&user, &group, "--clear-groups", "--"]).arg(program);
    }
    command.current_dir("/").env_remove("PGPORT").env_remove("PGHOST");
    Ok(command)
}

/// Whether files that we create belong to root.
fn is_root(made: &Path) -> Result<bool> {
    Ok(std::fs::metadata(made)?.uid() == 0)
}

fn own_id() -> Result<u32> {
    Ok(std::fs::metadata("/proc/self")?.uid())
}

/// The newest in Debian's directory; else the one in `PATH`.
fn program(name: &str) -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin").join(name)))
        })
        .filter(|(_, path)| path.is_file())
        .collect();
    found.sort();
    if let Some((_, path)) = found.pop() {
        return Ok(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("{name} isn't there (Debian: apt-get install postgresql)").into())
}
