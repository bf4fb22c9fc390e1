//! Runs of a session policy, and the same asked of Kratos directly. Knows nothing of the operator's insides.

use std::fmt;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use kratos_operator::api::condition;
use kratos_operator::kratos::{
    BatchItem, CreateIdentity, CredentialImport, Expand, PasswordImport, Secret, SessionFilter, Writer,
};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use crate::ground::control_plane;
use crate::many::each;
use crate::testenv::Result;
use crate::testenv::control_plane::ControlPlane;
use crate::testenv::kratos::{Kratos, Options};
use crate::testenv::operator::{Operator, Settings, binary_beside};
use crate::testenv::process::eventually;
use crate::testenv::proxy::Proxy;
use crate::testenv::screen::Screen;

const NAMESPACE: &str = "bench";
const PASSWORD: &str = "correct-horse-4711";
/// Sessions of each person at the largest size.
const SESSIONS_EACH: usize = 50;
/// Logins at once.
const LOGINS: usize = 8;
/// Revocations in flight: the operator's own number.
const REVOCATIONS: usize = 8;
const PATIENCE: Duration = Duration::from_mins(30);

/// What a rule needs of a session, and a rule that needs it and names some of them.
const KINDS: [(&str, &[Expand]); 3] =
    [("plain", &[]), ("with identities", &[Expand::Identity]), ("with devices", &[Expand::Devices])];

/// One line of the result.
pub struct Figure {
    pub what: String,
    pub value: String,
    pub against: String,
    pub ratio: Option<f64>,
    pub aim: &'static str,
}

impl Figure {
    pub fn json(&self) -> Value {
        let Self { what, value, against, ratio, aim } = self;
        json!({"figure": what, "value": value, "against": against, "ratio": ratio, "aim": aim})
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, value, against, ratio, aim } = self;
        let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        write!(formatter, "{what:48}  {value:>10}  {against:40}  {ratio:>6}  {aim}")
    }
}

struct Stage {
    operator: Operator,
    kratos: Kratos,
    /// Before Kratos, where requests are counted.
    proxy: Proxy,
    client: kube::Client,
    /// Held, so that it runs.
    _plane: ControlPlane,
}

/// The figures, and how many logins a second there were.
pub async fn measure(sizes: &[usize], screen: &mut Screen) -> Result<(Vec<Figure>, f64)> {
    let largest = sizes.last().copied().unwrap_or_default();
    let stage = screen.step("a control plane, a Kratos and the operator", Box::pin(Stage::set())).await?;
    let people = (largest / SESSIONS_EACH).max(20);
    screen.step("people with passwords", stage.people(people)).await?;
    let (mut figures, mut there, mut login_time) = (Vec::new(), 0, Duration::ZERO);
    for size in sizes {
        let what = format!("{} logins", size - there);
        login_time += screen.step(&what, stage.logins(people, there, *size)).await?;
        there = *size;
        figures.extend(screen.step(&format!("runs in Observe over {size} sessions"), stage.observe(*size)).await?);
    }
    figures.extend(screen.step("revocations", stage.revoke(people, largest)).await?);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let logins = largest as f64 / login_time.as_secs_f64();
    Ok((figures, logins))
}

impl Stage {
    async fn set() -> Result<Self> {
        let (plane, client) = control_plane(NAMESPACE).await?;
        let kratos = Kratos::start(Options::default()).await?;
        let proxy = Proxy::before_kratos(kratos.admin_url().as_str())?;
        let operator = binary_beside(&std::env::current_exe()?).ok_or("the operator isn't built")?;
        let mut settings = Settings::new(operator, plane.kubeconfig());
        settings.instance_namespaces = vec![NAMESPACE.to_owned()];
        settings.log = "info".into();
        let operator = Operator::start(settings)?;
        let stage = Self { operator, kratos, proxy, client, _plane: plane };
        // The same Kratos twice: directly, and where its requests are counted.
        for (name, url) in [("direct", stage.kratos.admin_url().to_string()), ("counted", stage.proxy.url())] {
            let spec = json!({
                "adminURL": url, "publicURL": stage.kratos.public_url(), "ownerName": name, "resyncInterval": "8760h",
                "trustClientAddress": true,
            });
            stage.put("KratosInstance", name, &spec).await?;
            stage.until("KratosInstance", name, "Ready", |object| is_ready(object).then_some(())).await?;
        }
        Ok(stage)
    }

    async fn people(&self, count: usize) -> Result<()> {
        let admin = self.kratos.client();
        let items: Vec<_> = (0..count).map(|number| BatchItem { create: person(number), patch_id: None }).collect();
        for batch in items.chunks(100) {
            admin.batch_patch_identities(batch).await?;
        }
        Ok(())
    }

    async fn logins(&self, people: usize, from: usize, to: usize) -> Result<Duration> {
        let kratos =
            std::sync::Arc::new(LoginAt { public: self.kratos.public_url().to_string(), http: reqwest::Client::new() });
        each((from..to).collect(), LOGINS, |number| {
            let kratos = std::sync::Arc::clone(&kratos);
            async move { kratos.login(&email(number % people)).await }
        })
        .await
    }

    async fn observe(&self, size: usize) -> Result<Vec<Figure>> {
        let admin = self.kratos.client();
        let mut figures = Vec::new();
        for (kind, expand) in KINDS {
            let raw = list(&admin, expand).await?;
            self.policy("direct", kind, "Observe").await?;
            self.operator.reset_peak_memory()?;
            let before = self.operator.memory()?;
            let (took, status) = self.run("direct").await?;
            let peak = self.operator.peak_memory()?.saturating_sub(before);
            let sessions = status["lastRun"]["sessions"].as_u64().unwrap_or_default();
            if sessions != size as u64 {
                return Err(format!("a run saw {sessions} sessions where there are {size}").into());
            }
            self.policy("counted", kind, "Observe").await?;
            self.proxy.reset();
            self.run("counted").await?;
            let requests = self.proxy.count("GET /admin/sessions");
            figures.push(Figure {
                what: format!("run over {size} sessions, {kind}"),
                value: milliseconds(took),
                against: format!("raw listing, same expand: {}", milliseconds(raw)),
                ratio: Some(took.as_secs_f64() / raw.as_secs_f64()),
                aim: "aim 1.5",
            });
            figures.push(Figure {
                what: "  its requests for pages of sessions".to_owned(),
                value: requests.to_string(),
                against: format!("pages of 1000: {}", size.div_ceil(1000)),
                ratio: None,
                aim: "",
            });
            figures.push(Figure {
                what: "  its memory at most, above that before".to_owned(),
                value: format!("{:.1} MiB", mebibytes(peak)),
                against: format!("64 bytes a session: {:.1} MiB", mebibytes(64 * size as u64)),
                ratio: None,
                aim: "aim a few MiB plus that",
            });
        }
        Ok(figures)
    }

    /// A tenth revoked directly, then all but the newest of each person by a policy.
    async fn revoke(&self, people: usize, size: usize) -> Result<Vec<Figure>> {
        let admin = self.kratos.client();
        let mut pages =
            std::pin::pin!(admin.list_sessions(SessionFilter { active: Some(true), ..SessionFilter::default() }));
        let mut ids = Vec::new();
        while let Some(page) = pages.try_next().await? {
            ids.extend(page.items.into_iter().map(|session| session.id));
        }
        // The oldest, so that the newest of each person stay.
        let raw_ids: Vec<_> = ids.into_iter().rev().take(size / 10).collect();
        let count = raw_ids.len();
        let raw = each(raw_ids, REVOCATIONS, |id| {
            let admin = admin.clone();
            async move {
                admin.disable_session(&id).await?;
                Ok(())
            }
        })
        .await?;
        // The same policy, looking only: what remains is the revocations.
        self.policy("direct", "newest", "Observe").await?;
        let (looking, _) = self.run("direct").await?;
        self.policy("direct", "newest", "Enforce").await?;
        let (took, status) = self.run("direct").await?;
        let revoked = status["lastRun"]["revoked"].as_u64().unwrap_or_default();
        if revoked + (people as u64) + (count as u64) < size as u64 {
            return Err(format!("{revoked} sessions were revoked of {size}").into());
        }
        let each_of =
            |time: Duration, count: u64| time.as_secs_f64() / count.max(1).to_string().parse::<f64>().unwrap_or(1.0);
        let (raw_each, each) = (each_of(raw, count as u64), each_of(took.saturating_sub(looking), revoked));
        Ok(vec![Figure {
            what: format!("revocations a second, of {revoked}"),
            value: format!("{:.0}", 1.0 / each),
            against: format!("raw, {REVOCATIONS} in flight: {:.0}", 1.0 / raw_each),
            ratio: Some(each / raw_each),
            aim: "time of one, beside the raw one's",
        }])
    }

    /// The policy over one of the instances; suspended, until a run is asked for.
    async fn policy(&self, instance: &str, kind: &str, mode: &str) -> Result<()> {
        let rule = match kind {
            // Kratos says whose a session is only with its identity: a rank takes that, an age doesn't.
            "plain" => json!({"name": "too-old", "maxAge": "8760h", "action": "Revoke"}),
            "newest" => json!({"name": "one", "maxConcurrent": 1, "action": "Revoke"}),
            "with identities" => json!({"name": "few", "maxConcurrent": 3, "action": "Revoke"}),
            _ => json!({"name": "here", "allowedNetworks": ["127.0.0.0/8"], "action": "Revoke"}),
        };
        let spec = json!({
            "instanceRef": {"name": instance}, "identities": {"all": true}, "rules": [rule], "mode": mode,
            "interval": "8760h", "suspend": true, "limit": {"maxRevocations": 1_000_000},
        });
        self.put("KratosSessionPolicy", instance, &spec).await?;
        let suspended = self.until("KratosSessionPolicy", instance, "suspended", |object| {
            let conditions = object.data["status"]["conditions"].as_array()?;
            conditions.iter().any(|condition| condition["type"] == "Suspended").then_some(())
        });
        suspended.await.map(drop)
    }

    /// One run: from the request to the status that says it is done.
    async fn run(&self, name: &str) -> Result<(Duration, Value)> {
        let api = self.api("KratosSessionPolicy");
        let begun = Instant::now();
        let patch = Patch::Merge(json!({"spec": {"suspend": false}}));
        let patched = api.patch(name, &PatchParams::default(), &patch).await?;
        let done = self.until("KratosSessionPolicy", name, "a run", |object| {
            let status = &object.data["status"];
            (status["observedGeneration"].as_i64() == patched.metadata.generation).then(|| status.clone())
        });
        let object = done.await?;
        let took = begun.elapsed();
        if !is_ready(&object) {
            return Err(format!("the policy isn't Ready: {}", object.data["status"]["conditions"]).into());
        }
        Ok((took, object.data["status"].clone()))
    }

    async fn put(&self, kind: &str, name: &str, spec: &Value) -> Result<()> {
        let object = json!({
            "apiVersion": "kratos-operator.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
        });
        let params = PatchParams::apply("bench").force();
        self.api(kind).patch(name, &params, &Patch::Apply(&object)).await?;
        Ok(())
    }

    async fn until<T>(
        &self,
        kind: &str,
        name: &str,
        what: &str,
        holds: impl Fn(&DynamicObject) -> Option<T>,
    ) -> Result<DynamicObject> {
        let api = self.api(kind);
        eventually(&format!("{kind} {name}: {what}"), PATIENCE, async || {
            let object = api.get(name).await.ok()?;
            holds(&object).map(|_| object)
        })
        .await
        .map_err(|error| format!("{error}\n{}", self.operator.tail()).into())
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let resource = match kind {
            "KratosSessionPolicy" => ApiResource::from_gvk_with_plural(
                &GroupVersionKind::gvk("kratos-operator.dev", "v1alpha1", kind),
                "kratossessionpolicies",
            ),
            _ => ApiResource::from_gvk(&GroupVersionKind::gvk("kratos-operator.dev", "v1alpha1", kind)),
        };
        Api::namespaced_with(self.client.clone(), NAMESPACE, &resource)
    }
}

/// Kratos' public API, with connections that are kept.
struct LoginAt {
    public: String,
    http: reqwest::Client,
}

impl LoginAt {
    async fn login(&self, email: &str) -> Result<()> {
        let flow: Value = self.http.get(format!("{}self-service/login/api", self.public)).send().await?.json().await?;
        let id = flow["id"].as_str().ok_or("no login flow")?;
        let body = json!({"method": "password", "identifier": email, "password": PASSWORD});
        let answer = self.http.post(format!("{}self-service/login?flow={id}", self.public)).json(&body).send().await?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("a login: {}", answer.status()).into()) }
    }
}

fn email(number: usize) -> String {
    format!("person-{number:06}@bench.example")
}

fn person(number: usize) -> CreateIdentity {
    let password = Some(PasswordImport::Cleartext(Secret::new(PASSWORD)));
    CreateIdentity {
        schema_id: "customer".to_owned(),
        traits: json!({"email": email(number)}),
        credentials: CredentialImport { password, ..CredentialImport::default() },
        ..CreateIdentity::default()
    }
}

async fn list(admin: &Writer, expand: &[Expand]) -> Result<Duration> {
    let begun = Instant::now();
    let filter = SessionFilter { active: Some(true), expand: expand.to_vec(), ..SessionFilter::default() };
    let mut pages = std::pin::pin!(admin.list_sessions(filter));
    while pages.try_next().await?.is_some() {}
    Ok(begun.elapsed())
}

fn is_ready(object: &DynamicObject) -> bool {
    let status = &object.data["status"];
    let conditions = serde_json::from_value::<Vec<_>>(status["conditions"].clone()).unwrap_or_default();
    status["observedGeneration"].as_i64() == object.metadata.generation && condition::is_true(&conditions, "Ready")
}

fn milliseconds(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
