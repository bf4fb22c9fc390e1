//! What people do with a test's Kratos, through its public API as a client without a browser: log in, give a second factor,
//! change their own settings. Nothing here uses the admin API.

use std::time::SystemTime;

use reqwest::StatusCode;
use ring::hmac;
use serde_json::{Value, json};

use super::Result;
use super::kratos::Kratos;

/// The header for a session's token.
const SESSION: &str = "X-Session-Token";

impl Kratos {
    /// Logs in with a password and returns the session's token; `None` where the login is refused.
    pub async fn login(&self, identifier: &str, password: &str) -> Result<Option<String>> {
        self.login_from(&[], identifier, password).await
    }

    /// The same with headers that a proxy or the client itself would set.
    pub async fn login_from(
        &self,
        headers: &[(&'static str, &'static str)],
        identifier: &str,
        password: &str,
    ) -> Result<Option<String>> {
        let flow = self.flow("login", None, "").await?;
        let body = json!({"method": "password", "identifier": identifier, "password": password});
        let (status, answer) = self.submit("login", &flow, headers, &body).await?;
        let token = answer["session_token"].as_str();
        Ok(token.filter(|_| status == StatusCode::OK).map(str::to_owned))
    }

    /// Kratos' session for a token, or `None` where the token isn't valid (any more).
    pub async fn whoami(&self, token: &str) -> Result<Option<Value>> {
        let url = self.public_url().join("sessions/whoami")?;
        let answer = self.http.get(url).header(SESSION, token).send().await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(what_can_be_read(&answer.bytes().await?))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(None),
            status => Err(format!("whoami answers {status}").into()),
        }
    }

    /// Changes one's own traits, as on a settings page. Kratos requires all of them.
    pub async fn change_own_traits(&self, token: &str, traits: &Value) -> Result<()> {
        let flow = self.flow("settings", Some(token), "").await?;
        let body = json!({"method": "profile", "traits": traits});
        self.submit_settings(&flow, token, &body).await.map(drop)
    }

    /// Changes one's own password.
    pub async fn change_own_password(&self, token: &str, password: &str) -> Result<()> {
        let flow = self.flow("settings", Some(token), "").await?;
        let body = json!({"method": "password", "password": password});
        self.submit_settings(&flow, token, &body).await.map(drop)
    }

    /// Registers with traits of the default schema, given as bytes. Kratos may store them and fail afterwards: the answer
    /// proves nothing.
    pub async fn register(&self, traits: &[u8], password: &str) -> Result<()> {
        let flow = self.flow("registration", None, "").await?;
        let start = format!(r#"{{"method": "password", "password": "{password}", "traits": "#);
        self.submit_bytes("registration", &flow, None, [start.as_bytes(), traits, b"}"].concat()).await
    }

    /// Changes one's own traits to these bytes. Here too the answer proves nothing.
    pub async fn change_own_traits_to_bytes(&self, token: &str, traits: &[u8]) -> Result<()> {
        let flow = self.flow("settings", Some(token), "").await?;
        let body = [&br#"{"method": "profile", "traits": "#[..], traits, b"}"].concat();
        self.submit_bytes("settings", &flow, Some(token), body).await
    }

    async fn submit_bytes(&self, kind: &str, flow: &str, token: Option<&str>, body: Vec<u8>) -> Result<()> {
        let url = self.public_url().join(&format!("self-service/{kind}?flow={flow}"))?;
        let mut request = self.http.post(url).header("content-type", "application/json").body(body);
        if let Some(token) = token {
            request = request.header(SESSION, token);
        }
        request.send().await?;
        Ok(())
    }

    /// Makes one-time codes (`lookup_secret`) one's second factor, and returns them.
    pub async fn enrol_lookup_secret(&self, token: &str) -> Result<Vec<String>> {
        let flow = self.flow("settings", Some(token), "").await?;
        let body = json!({"method": "lookup_secret", "lookup_secret_regenerate": true});
        let shown = self.submit_settings(&flow, token, &body).await?;
        let codes = node_texts(&shown, "lookup_secret_codes");
        let body = json!({"method": "lookup_secret", "lookup_secret_confirm": true});
        self.submit_settings(&flow, token, &body).await?;
        Ok(codes)
    }

    /// Makes time-based one-time passwords (TOTP) one's second factor, as with an app that scans the page's secret.
    pub async fn enrol_totp(&self, token: &str) -> Result<Totp> {
        let url = self.public_url().join("self-service/settings/api")?;
        let shown: Value = self.http.get(url).header(SESSION, token).send().await?.json().await?;
        let flow = shown["id"].as_str().ok_or_else(|| format!("no settings flow: {shown}"))?;
        let totp = Totp::scan(&shown)?;
        let body = json!({"method": "totp", "totp_code": totp.code()});
        self.submit_settings(flow, token, &body).await?;
        Ok(totp)
    }

    /// Steps a session up to assurance level 2 with a time-based one-time password.
    pub async fn step_up_by_totp(&self, token: &str, totp: &Totp) -> Result<()> {
        let flow = self.flow("login", Some(token), "?aal=aal2").await?;
        let body = json!({"method": "totp", "totp_code": totp.code()});
        match self.submit("login", &flow, &[(SESSION, token)], &body).await? {
            (StatusCode::OK, _) => Ok(()),
            (status, answer) => Err(format!("the second factor is answered by {status}: {answer}").into()),
        }
    }

    /// Steps a session up to assurance level 2 with a one-time code.
    pub async fn step_up(&self, token: &str, lookup_secret: &str) -> Result<()> {
        let flow = self.flow("login", Some(token), "?aal=aal2").await?;
        let body = json!({"method": "lookup_secret", "lookup_secret": lookup_secret});
        match self.submit("login", &flow, &[(SESSION, token)], &body).await? {
            (StatusCode::OK, _) => Ok(()),
            (status, answer) => Err(format!("the second factor is answered by {status}: {answer}").into()),
        }
    }

    async fn flow(&self, kind: &str, token: Option<&str>, query: &str) -> Result<String> {
        let url = self.public_url().join(&format!("self-service/{kind}/api{query}"))?;
        let mut request = self.http.get(url);
        if let Some(token) = token {
            request = request.header(SESSION, token);
        }
        let flow: Value = request.send().await?.json().await?;
        let id = flow["id"].as_str().ok_or_else(|| format!("no {kind} flow: {flow}"))?;
        Ok(id.to_owned())
    }

    async fn submit(
        &self,
        kind: &str,
        flow: &str,
        headers: &[(&'static str, &str)],
        body: &Value,
    ) -> Result<(StatusCode, Value)> {
        let url = self.public_url().join(&format!("self-service/{kind}?flow={flow}"))?;
        let mut request = self.http.post(url).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        Ok((answer.status(), what_can_be_read(&answer.bytes().await?)))
    }

    async fn submit_settings(&self, flow: &str, token: &str, body: &Value) -> Result<Value> {
        match self.submit("settings", flow, &[(SESSION, token)], body).await? {
            (StatusCode::OK, answer) => Ok(answer),
            (status, answer) => Err(format!("settings are answered by {status}: {answer}").into()),
        }
    }
}

/// An answer. If it shows traits that can't be read, only the session's token.
fn what_can_be_read(answer: &[u8]) -> Value {
    serde_json::from_slice(answer).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(answer);
        let token = text.split_once(r#""session_token":""#).and_then(|(_, rest)| rest.split_once('"'));
        json!({"session_token": token.map(|(token, _)| token)})
    })
}

/// An app that makes time-based one-time passwords (RFC 6238), as Kratos takes them: SHA-1, six digits, 30 seconds.
pub struct Totp {
    pub secret: String,
    key: Vec<u8>,
}

impl Totp {
    fn scan(page: &Value) -> Result<Self> {
        let mut nodes = page["ui"]["nodes"].as_array().into_iter().flatten();
        let node = nodes.find(|node| node["attributes"]["id"] == "totp_secret_key");
        let secret = node.and_then(|node| node["attributes"]["text"]["context"]["secret"].as_str());
        let secret = secret.ok_or("the settings page shows no secret")?.to_owned();
        let key = data_encoding::BASE32_NOPAD.decode(secret.trim_end_matches('=').as_bytes())?;
        Ok(Self { secret, key })
    }

    /// The current password.
    pub fn code(&self) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.key);
        let tag = hmac::sign(&key, &(now / 30).to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag[tag.len() - 1] & 0x0f);
        let number = u32::from_be_bytes([tag[at], tag[at + 1], tag[at + 2], tag[at + 3]]) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }
}

/// The secrets in a node of a settings page.
fn node_texts(flow: &Value, name: &str) -> Vec<String> {
    let nodes = flow["ui"]["nodes"].as_array().into_iter().flatten();
    nodes
        .filter(|node| node["attributes"]["id"] == name)
        .flat_map(|node| node["attributes"]["text"]["context"]["secrets"].as_array().cloned().unwrap_or_default())
        .filter_map(|secret| secret["text"].as_str().map(str::to_owned))
        .collect()
}
