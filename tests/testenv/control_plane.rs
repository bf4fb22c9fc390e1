//! A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager (garbage collection, deletion of
//! namespaces, service accounts, aggregated roles; no scheduler and no nodes, so no pods). Starts it, stops it, and gives
//! access to it. The tests decide what is in it.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, PostParams};
use serde_json::{Value, json};

use super::Result;
use super::credentials;
use super::kubectl::Kubectl;
use super::labels;
use super::ports::Port;
use super::process::{Process, component, eventually, require};
use super::proxy::{Proxy, Upstream};
use super::workdir::WorkDir;

/// A cold start on a busy machine takes longer than the three seconds that it takes alone.
const START: Duration = Duration::from_secs(90);

/// Fields are dropped in this order: a server before what it needs.
pub struct ControlPlane {
    controllers: Process,
    apiserver: Mutex<Process>,
    etcd: Process,
    token: String,
    etcd_port: Port,
    port: Port,
    dir: WorkDir,
}

impl ControlPlane {
    /// Starts all three and waits until they are ready. Several control planes can run side by side.
    pub async fn start() -> Result<Self> {
        let mut tries = 0;
        loop {
            match Self::try_start().await {
                // Not expected, since the ports are reserved; but another process may bind a fixed port all the same.
                Err(error) if tries < 3 && error.to_string().contains("address already in use") => {
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    /// The one that the tests of this binary share. It ends, and its files are deleted, with the process.
    pub async fn shared() -> &'static Self {
        static SHARED: tokio::sync::OnceCell<ControlPlane> = tokio::sync::OnceCell::const_new();
        SHARED.get_or_init(async || Self::start().await.expect("the control plane starts")).await
    }

    async fn try_start() -> Result<Self> {
        require(&["etcd", "kube-apiserver", "kube-controller-manager"])?;
        let (etcd_port, port) = (Port::reserve()?, Port::reserve()?);
        let dir = WorkDir::new("control-plane-")?;
        let token: String = format!("{:032x}", rand::random::<u128>());
        credentials::write(dir.path(), &token)?;

        let mut etcd = start_etcd(dir.path(), &etcd_port)?;
        eventually_running(&mut etcd, "etcd listens", || TcpStream::connect(etcd_port.address()).ok()).await?;
        let mut apiserver = start_apiserver(dir.path(), &etcd_port, &port)?;
        let certificates = dir.path().join("apiserver/apiserver.crt");
        let ca = eventually_running(&mut apiserver, "kube-apiserver makes its certificate", || {
            credentials::last_certificate(&certificates)
        })
        .await?;
        std::fs::write(dir.path().join("ca.crt"), ca)?;
        credentials::write_kubeconfig(dir.path(), &format!("https://{}", port.address()), &token)?;
        let apiserver = Mutex::new(apiserver);
        ready(&dir.path().join("kubeconfig"), &apiserver).await?;
        // Not earlier: the controllers exit if the API server isn't healthy within ten seconds.
        let controllers = start_controllers(dir.path())?;
        let this = Self { controllers, apiserver, etcd, token, etcd_port, port, dir };
        this.wait_for_controllers().await?;
        Ok(this)
    }

    /// An administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }

    /// `https://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("https://{}", self.port.address())
    }

    /// Where the kube-apiserver listens, with TLS.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// An administrator's kubeconfig that reaches the kube-apiserver itself, with TLS, at another address.
    pub fn kubeconfig_by(&self, address: SocketAddr) -> Result<PathBuf> {
        let ca = self.dir.path().join("ca.crt");
        let cluster = json!({"server": format!("https://{address}"), "certificate-authority": ca});
        self.kubeconfig_of(&cluster, &json!({"token": self.token}))
    }

    /// An administrator's kubeconfig with these fields in its cluster, beside the certificate authority.
    pub fn kubeconfig_with(&self, members: &Value) -> Result<PathBuf> {
        let mut cluster = json!({"server": self.url(), "certificate-authority": self.dir.path().join("ca.crt")});
        let members = members.as_object().into_iter().flatten();
        cluster.as_object_mut().ok_or("an object")?.extend(members.map(|(name, value)| (name.clone(), value.clone())));
        self.kubeconfig_of(&cluster, &json!({"token": self.token}))
    }

    /// An administrator's client, for the current runtime.
    pub async fn client(&self) -> Result<kube::Client> {
        client(&self.kubeconfig()).await
    }

    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.kubeconfig())
    }

    /// A proxy before this kube-apiserver, and an administrator's kubeconfig that goes through it.
    pub fn proxy(&self) -> Result<(Proxy, PathBuf)> {
        self.proxy_for(&self.token)
    }

    /// The same, for the owner of the token. The proxy adds the token: without TLS clients send none.
    pub fn proxy_for(&self, token: &str) -> Result<(Proxy, PathBuf)> {
        let proxy = Proxy::start(Upstream {
            url: self.url(),
            api: labels::Api::Kubernetes,
            ca: Some(std::fs::read(self.dir.path().join("ca.crt"))?),
            token: Some(token.to_owned()),
        })?;
        let path = self.kubeconfig_of(&json!({"server": proxy.url()}), &json!({}))?;
        Ok((proxy, path))
    }

    /// A kubeconfig for the owner of the token, for example a service account (`kubectl create token`).
    pub fn kubeconfig_for(&self, token: &str) -> Result<PathBuf> {
        let ca = self.dir.path().join("ca.crt");
        let cluster = json!({"server": self.url(), "certificate-authority": ca});
        self.kubeconfig_of(&cluster, &json!({"token": token}))
    }

    /// A kubeconfig for the owner of the token in this file, as in a pod.
    pub fn kubeconfig_by_token_file(&self, path: &Path) -> Result<PathBuf> {
        let ca = self.dir.path().join("ca.crt");
        let cluster = json!({"server": self.url(), "certificate-authority": ca});
        self.kubeconfig_of(&cluster, &json!({"tokenFile": path}))
    }

    /// A token with these claims, signed like the kube-apiserver's for service accounts, which are valid for at least ten
    /// minutes.
    pub fn sign_token(&self, claims: &Value) -> Result<String> {
        credentials::sign_token(self.dir.path(), claims)
    }

    fn kubeconfig_of(&self, cluster: &Value, user: &Value) -> Result<PathBuf> {
        let name = format!("kubeconfig-{:08x}", rand::random::<u32>());
        let path = self.dir.path().join(name);
        credentials::write_json(&path, &credentials::kubeconfig(cluster, user))?;
        Ok(path)
    }

    /// The uid of kube-system, by which operators tell clusters apart.
    pub async fn id(&self) -> Result<String> {
        let namespace = Api::<Namespace>::all(self.client().await?).get("kube-system").await?;
        Ok(namespace.metadata.uid.ok_or("kube-system has no uid")?)
    }

    /// Creates a namespace with a unique name and these labels.
    pub async fn namespace(&self, labels: &[(&str, &str)]) -> Result<String> {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let name = format!("test-{:08x}", rand::random::<u32>());
        let namespace = Namespace {
            metadata: ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        Api::all(self.client().await?).create(&PostParams::default(), &namespace).await?;
        Ok(name)
    }

    /// Applies every definition in the directory and waits until the server knows them.
    pub async fn install_crds(&self, dir: &Path) -> Result<()> {
        let dir = dir.to_string_lossy();
        let kubectl = self.kubectl();
        kubectl.run(["apply", "--server-side", "--force-conflicts", "-f", &dir]).await?;
        kubectl.run(["wait", "--for=condition=Established", "--timeout=30s", "-f", &dir]).await?;
        Ok(())
    }

    /// Applies an admission policy that adds a finalizer, and waits until it applies to new objects like this sample. For some
    /// seconds after definitions were created the server can't evaluate a policy for their kinds, and answers 503.
    pub async fn install_policy(&self, policy: &str, sample: &Value, finalizer: &str) -> Result<()> {
        self.kubectl().apply(policy).await?;
        let sample: DynamicObject = serde_json::from_value(sample.clone())?;
        let kind = GroupVersionKind::try_from(sample.types.as_ref().ok_or("a sample without a kind")?)?;
        let namespace = sample.metadata.namespace.as_deref().unwrap_or("default");
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client().await?, namespace, &ApiResource::from_gvk(&kind));
        let params = PostParams { dry_run: true, ..PostParams::default() };
        eventually("the admission policy has taken hold", START, async || {
            let created = api.create(&params, &sample).await.ok()?;
            created.metadata.finalizers?.iter().any(|it| it == finalizer).then_some(())
        })
        .await
    }

    /// Kills the kube-apiserver and starts it again, same port, same etcd, same certificate.
    pub async fn restart_apiserver(&self) -> Result<()> {
        // One that has just started refuses for a moment what roles grant.
        self.refuses_on_purpose()?;
        self.apiserver().kill();
        *self.apiserver() = start_apiserver(self.dir.path(), &self.etcd_port, &self.port)?;
        ready(&self.kubeconfig(), &self.apiserver).await
    }

    /// The requests of service accounts of the default namespace to the kube-apiserver, in order: audit events, metadata only.
    pub fn audited(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(audit_log(self.dir.path()))?;
        // The last line may be incomplete.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// From now on a test removes permissions: refused requests are expected.
    pub fn refuses_on_purpose(&self) -> Result<()> {
        Ok(std::fs::write(audit_log(self.dir.path()).with_extension("refusing"), "")?)
    }

    /// Stops all three; dropping does the same.
    pub fn stop(self) {
        drop(self);
    }

    /// The end of each component's log, to explain a failure.
    pub fn logs(&self) -> String {
        [&self.etcd, &*self.apiserver(), &self.controllers].map(Process::tail).join("\n")
    }

    fn apiserver(&self) -> MutexGuard<'_, Process> {
        running(&self.apiserver)
    }

    /// They have begun to work once they have done what they do for every namespace.
    async fn wait_for_controllers(&self) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, "default");
        eventually("kube-controller-manager makes service accounts", START, async || {
            accounts.get_opt("default").await.ok().flatten()
        })
        .await
        .map_err(|error| format!("{error}\n{}", self.controllers.tail()))?;
        Ok(())
    }
}

/// Returns once a kube-apiserver is ready.
async fn ready(kubeconfig: &Path, apiserver: &Mutex<Process>) -> Result<()> {
    let client = client(kubeconfig).await?;
    eventually("kube-apiserver is ready", START, async || {
        if let Err(ended) = running(apiserver).still_running() {
            return Some(Err(ended));
        }
        let request = http::Request::get("/readyz").body(Vec::new()).ok()?;
        client.request_text(request).await.ok().map(|_| Ok(()))
    })
    .await?
}

fn running(process: &Mutex<Process>) -> MutexGuard<'_, Process> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client for a kubeconfig.
pub async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    let file = kube::config::Kubeconfig::read_from(kubeconfig)?;
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(file, &options).await?;
    Ok(kube::Client::try_from(config)?)
}

async fn eventually_running<T>(process: &mut Process, what: &str, check: impl Fn() -> Option<T>) -> Result<T> {
    eventually(what, START, || {
        let found = match process.still_running() {
            Ok(()) => check().map(Ok),
            Err(ended) => Some(Err(ended)),
        };
        std::future::ready(found)
    })
    .await?
}

fn start_etcd(dir: &Path, port: &Port) -> Result<Process> {
    let url = format!("http://{}", port.address());
    let mut command = Command::new(component("etcd"));
    command
        .arg(format!("--data-dir={}", dir.join("etcd").display()))
        .arg(format!("--listen-client-urls={url}"))
        .arg(format!("--advertise-client-urls={url}"))
        // A single member has no peers: any port will do.
        .arg("--listen-peer-urls=http://127.0.0.1:0")
        // Nothing compacts it in the first minutes, and a benchmark may write more than its default limit of two gigabytes.
        .args(["--unsafe-no-fsync", "--log-level=warn", "--quota-backend-bytes=8589934592"]);
    Process::start("etcd", &command, &dir.join("etcd.log"))
}

/// The file for audit events: in the directory `AUDIT_LOGS`, if that is set.
fn audit_log(dir: &Path) -> PathBuf {
    let kept = std::env::var_os("AUDIT_LOGS").map(PathBuf::from).filter(|kept| kept.is_dir());
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    kept.map_or_else(|| dir.join("audit.log"), |kept| kept.join(format!("{name}.log")))
}

/// Audits the requests of service accounts of the default namespace, which the operators of tests use.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts:default"]}, {"level": "None"}]
}"#;

fn start_apiserver(dir: &Path, etcd: &Port, port: &Port) -> Result<Process> {
    let file = |name| dir.join(name).display().to_string();
    std::fs::write(dir.join("audit-policy.json"), AUDIT_POLICY)?;
    let mut command = Command::new(component("kube-apiserver"));
    command
        .arg(format!("--etcd-servers=http://{}", etcd.address()))
        .arg(format!("--secure-port={}", port.number()))
        .arg(format!("--cert-dir={}", file("apiserver")))
        .arg(format!("--service-account-key-file={}", file("service-accounts.pub")))
        .arg(format!("--service-account-signing-key-file={}", file("service-accounts.key")))
        .arg(format!("--token-auth-file={}", file("tokens.csv")))
        .arg(format!("--audit-policy-file={}", file("audit-policy.json")))
        .arg(format!("--audit-log-path={}", audit_log(dir).display()))
        .args([
            "--bind-address=127.0.0.1",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            "--profiling=false",
        ]);
    Process::start("kube-apiserver", &command, &dir.join("kube-apiserver.log"))
}

fn start_controllers(dir: &Path) -> Result<Process> {
    let mut command = Command::new(component("kube-controller-manager"));
    command.arg(format!("--kubeconfig={}", dir.join("kubeconfig").display())).args([
        "--controllers=garbage-collector-controller,namespace-controller,serviceaccount-controller,\
         clusterrole-aggregation-controller",
        "--leader-elect=false",
        "--secure-port=0",
        // Tests would wait for the default of 20 a second.
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--profiling=false",
    ]);
    Process::start("kube-controller-manager", &command, &dir.join("kube-controller-manager.log"))
}
