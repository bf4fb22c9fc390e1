//! A real Kratos on loopback, with a database of its own: starts it, stops it, starts it again on the same database. The tests
//! decide what is in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kratos_operator::kratos::{Client, ClientConfig, Initiator, WriteCause, Writer};
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use super::Result;
use super::databases::Databases;
use super::kratos_schemas;
use super::ports::Port;
use super::process::{Process, component, eventually, require};
use super::workdir::WorkDir;

/// A cold start on a busy machine takes longer than the second that it takes alone.
const START: Duration = Duration::from_mins(1);

/// How a Kratos is configured. The default is right for most tests.
#[derive(Clone, Debug)]
pub struct Options {
    /// Identity schemas by id; [`kratos_schemas`] has those of the tests.
    pub schemas: BTreeMap<String, Value>,
    /// How long a session lasts, as Go writes durations.
    pub session_lifespan: String,
    /// How long before its end a session may be extended; absent: at any time.
    pub earliest_possible_extend: Option<String>,
    /// Whether recovery by link, and by code, is on.
    pub recovery: bool,
    /// The session level that `whoami` requires: `aal1`, or `highest_available` (a second factor where the identity has one).
    pub whoami_aal: &'static str,
    /// The cost of a password's hash, as a power of two: 4 is the least, and quick.
    pub bcrypt_cost: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schemas: kratos_schemas::all(),
            session_lifespan: "24h".into(),
            earliest_possible_extend: None,
            recovery: true,
            whoami_aal: "aal1",
            bcrypt_cost: 4,
        }
    }
}

/// Fields are dropped in this order: the process before its files.
pub struct Kratos {
    process: Mutex<Process>,
    pub(super) http: reqwest::Client,
    options: Mutex<Options>,
    databases: Mutex<Databases>,
    admin: Port,
    public: Port,
    dir: WorkDir,
}

impl Kratos {
    /// Creates a database, starts Kratos on it and waits until it is ready.
    pub async fn start(options: Options) -> Result<Self> {
        let dir = WorkDir::new("kratos-")?;
        let (admin, public) = (Port::reserve()?, Port::reserve()?);
        let databases = Databases::new(dir.path()).await?;
        write_config(&dir, &admin, &public, &options, databases.dsn())?;
        migrate(dir.path()).await?;
        // Building any client installs what reqwest needs for TLS.
        drop(client_of(&admin)?);
        // Keeps no connection: a shared Kratos outlives the runtime of the test that started it.
        let http =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).pool_max_idle_per_host(0).build()?;
        let process = Mutex::new(serve(dir.path())?);
        let (options, databases) = (Mutex::new(options), Mutex::new(databases));
        let this = Self { process, http, options, databases, admin, public, dir };
        this.wait_until_ready().await?;
        Ok(this)
    }

    /// The one that the tests of this binary share; no test may stop or change it. It ends with the process.
    pub async fn shared() -> &'static Self {
        static SHARED: tokio::sync::OnceCell<Kratos> = tokio::sync::OnceCell::const_new();
        SHARED.get_or_init(async || Self::start(Options::default()).await.expect("Kratos starts")).await
    }

    /// `http://127.0.0.1:PORT`, without `/admin`.
    pub fn admin_url(&self) -> Url {
        url_of(&self.admin)
    }

    /// `http://127.0.0.1:PORT`
    pub fn public_url(&self) -> Url {
        url_of(&self.public)
    }

    /// A client of the admin API, without a public URL. To be built in the runtime that uses it.
    pub fn client(&self) -> Writer {
        client_of(&self.admin).expect("a loopback URL is usable")
    }

    /// SIGTERM, and waits until it has ended.
    pub fn stop(&self) -> Result<()> {
        self.process().stop()?;
        Ok(())
    }

    /// SIGKILL, and waits until it has ended.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Starts it on the same database and ports, once it has been stopped or killed.
    pub async fn start_again(&self) -> Result<()> {
        self.kill();
        *self.process() = serve(self.dir.path())?;
        self.wait_until_ready().await
    }

    /// Stops it and starts it with changed options, on the same database and ports.
    pub async fn restart_with(&self, change: impl FnOnce(&mut Options)) -> Result<()> {
        self.stop()?;
        change(&mut self.options.lock().unwrap_or_else(PoisonError::into_inner));
        self.configure()?;
        self.start_again().await
    }

    /// Stops it and starts it on its other database: an empty one the first time, the former one the next time.
    pub async fn exchange_database(&self) -> Result<()> {
        self.stop()?;
        self.databases.lock().unwrap_or_else(PoisonError::into_inner).exchange();
        self.configure()?;
        migrate(self.dir.path()).await?;
        self.start_again().await
    }

    fn configure(&self) -> Result<()> {
        let options = self.options.lock().unwrap_or_else(PoisonError::into_inner);
        let databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        write_config(&self.dir, &self.admin, &self.public, &options, databases.dsn())
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.process().log()
    }

    /// A raw JSON request to the admin API, for what the client doesn't do. The path begins with `admin/`.
    pub async fn raw(&self, method: reqwest::Method, path: &str, body: &Value) -> Result<(StatusCode, Value)> {
        let request = self.http.request(method, self.admin_url().join(path)?);
        let answer = if body.is_null() { request } else { request.json(body) }.send().await?;
        let status = answer.status();
        Ok((status, serde_json::from_slice(&answer.bytes().await?).unwrap_or_default()))
    }

    /// A request to the admin API with a body of bytes, for what no JSON value can hold. Returns bytes, too.
    pub async fn raw_bytes(&self, method: reqwest::Method, path: &str, body: Vec<u8>) -> Result<(StatusCode, Vec<u8>)> {
        let request = self.http.request(method, self.admin_url().join(path)?);
        let answer = request.header("content-type", "application/json").body(body).send().await?;
        Ok((answer.status(), answer.bytes().await?.to_vec()))
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let url = self.admin_url().join("admin/health/ready")?;
        let ready = eventually("Kratos is ready", START, async || {
            if let Err(error) = self.process().still_running() {
                return Some(Err(error));
            }
            let answer = self.http.get(url.clone()).send().await;
            answer.is_ok_and(|answer| answer.status() == StatusCode::OK).then_some(Ok(()))
        });
        match ready.await {
            Ok(outcome) => outcome,
            Err(error) => Err(format!("{error}\n{}", self.process().tail()).into()),
        }
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A user of the admin API other than the operator.
pub fn somebody() -> Arc<Initiator> {
    Arc::new(Initiator {
        kind: "Test",
        namespace: String::new(),
        name: String::new(),
        uid: String::new(),
        generation: None,
        cause: WriteCause::Spec,
        trace_id: None,
    })
}

fn url_of(port: &Port) -> Url {
    let url = format!("http://{}/", port.address());
    url.parse().expect("a loopback address makes a URL")
}

fn client_of(admin: &Port) -> Result<Writer> {
    Ok(Client::new(ClientConfig::new(url_of(admin)))?.on_behalf_of(&somebody()))
}

fn command(dir: &Path) -> Result<Command> {
    require(&["kratos"])?;
    let mut command = Command::new(component("kratos"));
    command.env("SQA_OPT_OUT", "true").env("HOME", dir);
    Ok(command)
}

async fn migrate(dir: &Path) -> Result<()> {
    let mut migration = tokio::process::Command::from(command(dir)?);
    migration.args(["migrate", "sql", "-e", "--yes", "-c"]).arg(dir.join("kratos.json"));
    let output = migration.kill_on_drop(true).output().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("no database: {}", String::from_utf8_lossy(&output.stderr)).into())
}

fn serve(dir: &Path) -> Result<Process> {
    let mut command = command(dir)?;
    // `--dev` is what allows cheap password hashes.
    command.args(["serve", "--dev", "--sqa-opt-out", "-c"]).arg(dir.join("kratos.json"));
    Process::start("kratos", &command, &dir.join("kratos.log"))
}

fn write_config(dir: &WorkDir, admin: &Port, public: &Port, options: &Options, dsn: &str) -> Result<()> {
    let Options { schemas, session_lifespan, earliest_possible_extend, recovery, whoami_aal, bcrypt_cost } = options;
    let dir = dir.path();
    let mut schema_list = Vec::new();
    for (id, schema) in schemas {
        let path = dir.join(format!("{id}.schema.json"));
        std::fs::write(&path, schema.to_string())?;
        schema_list.push(json!({"id": id, "url": format!("file://{}", path.display())}));
    }
    let server = |port: &Port| json!({"base_url": url_of(port), "host": "127.0.0.1", "port": port.number()});
    let mut session = json!({"lifespan": session_lifespan, "whoami": {"required_aal": whoami_aal}});
    if let Some(time) = earliest_possible_extend {
        session["earliest_possible_extend"] = json!(time);
    }
    let on = json!({"enabled": true});
    let config = json!({
        "version": "v1.3.1",
        "dsn": dsn,
        "serve": {"public": server(public), "admin": server(admin)},
        "selfservice": {
            "default_browser_return_url": url_of(public),
            "allowed_return_urls": ["https://app.example.com"],
            "methods": {
                "password": {"enabled": true, "config": {"haveibeenpwned_enabled": false}},
                "totp": {"enabled": true, "config": {"issuer": "test"}},
                "lookup_secret": on,
                "link": {"enabled": recovery},
                "code": {"enabled": recovery},
            },
            "flows": {
                "recovery": {"enabled": true, "ui_url": url_of(public).join("recovery")?},
                "verification": {"enabled": true},
                "settings": {"privileged_session_max_age": "1h", "required_aal": "aal1"},
            },
        },
        "session": session,
        "identity": {"default_schema_id": "customer", "schemas": schema_list},
        "hashers": {"algorithm": "bcrypt", "bcrypt": {"cost": bcrypt_cost}},
        // Nothing is sent, but recovery and verification need a server to send to.
        "courier": {"smtp": {"connection_uri": "smtp://127.0.0.1:1/"}},
        "secrets": {"cookie": ["cookie-secret-of-the-tests-32-by"], "cipher": ["cipher-secret-of-the-tests-32-by"]},
        "log": {"level": "info", "leak_sensitive_values": false},
    });
    std::fs::write(dir.join("kratos.json"), serde_json::to_vec_pretty(&config)?)?;
    Ok(())
}
