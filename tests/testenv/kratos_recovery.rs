//! How a person gets into an account with a recovery link or code: only through Kratos' public API, with the cookies that a
//! browser would keep, but without one.

use std::collections::BTreeMap;

use reqwest::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::Result;
use super::kratos::Kratos;

/// What a browser keeps between pages.
#[derive(Default)]
struct Cookies(BTreeMap<String, String>);

impl Cookies {
    fn keep(&mut self, answer: &Response) {
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    fn header(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }
}

impl Kratos {
    /// Opens a recovery link and sets a password. An error where the link isn't valid (any more).
    pub async fn recover_by_link(&self, link: &str, password: &str) -> Result<()> {
        let mut cookies = Cookies::default();
        let answer = self.http.get(link).send().await?;
        cookies.keep(&answer);
        let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
        self.set_password_on(to, &mut cookies, password).await
    }

    /// Opens a recovery link. Returns the settings flow that it leads to.
    pub async fn opened(&self, link: &str) -> Result<Value> {
        let mut cookies = Cookies::default();
        let answer = self.http.get(link).send().await?;
        cookies.keep(&answer);
        let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
        let url = self.public_url().join(&format!("self-service/settings/flows?id={}", flow_of(to)?))?;
        Ok(self.visit(Method::GET, url, &mut cookies, &Value::Null).await?.1)
    }

    /// The flow for a recovery code, as an application sees it that speaks to Kratos itself. An error where the flow is a
    /// browser's.
    pub async fn api_flow(&self, link: &str) -> Result<Value> {
        let url = self.public_url().join(&format!("self-service/recovery/flows?id={}", flow_of(link)?))?;
        match self.visit(Method::GET, url, &mut Cookies::default(), &Value::Null).await? {
            (StatusCode::OK, flow) => Ok(flow),
            (status, answer) => Err(format!("no flow of an application: {status} {answer}").into()),
        }
    }

    /// Enters a recovery code at the link's page, and sets a password.
    pub async fn recover_by_code(&self, link: &str, code: &str, password: &str) -> Result<()> {
        let mut cookies = Cookies::default();
        let flow = flow_of(link)?;
        let url = self.public_url().join(&format!("self-service/recovery?flow={flow}"))?;
        let body = json!({"method": "code", "code": code});
        let (_, answer) = self.visit(Method::POST, url, &mut cookies, &body).await?;
        let to = answer["redirect_browser_to"].as_str().unwrap_or_default().to_owned();
        self.set_password_on(&to, &mut cookies, password).await
    }

    /// Sets a password on the settings page that a recovery leads to.
    async fn set_password_on(&self, page: &str, cookies: &mut Cookies, password: &str) -> Result<()> {
        if !page.contains("settings") {
            return Err("the recovery isn't of use (any more): it doesn't lead to the settings".into());
        }
        let flow = flow_of(page)?;
        let url = self.public_url().join(&format!("self-service/settings/flows?id={flow}"))?;
        let (_, shown) = self.visit(Method::GET, url, cookies, &Value::Null).await?;
        let nodes = shown["ui"]["nodes"].as_array().into_iter().flatten();
        let token = nodes.map(|node| &node["attributes"]).find(|node| node["name"] == "csrf_token");
        let token = token.map(|node| node["value"].clone()).ok_or_else(|| format!("no settings page: {shown}"))?;
        let url = self.public_url().join(&format!("self-service/settings?flow={flow}"))?;
        let body = json!({"method": "password", "password": password, "csrf_token": token});
        match self.visit(Method::POST, url, cookies, &body).await? {
            (StatusCode::OK, _) => Ok(()),
            (status, answer) => Err(format!("the password isn't set: {status} {answer}").into()),
        }
    }

    async fn visit(
        &self,
        method: Method,
        url: Url,
        cookies: &mut Cookies,
        body: &Value,
    ) -> Result<(StatusCode, Value)> {
        let request =
            self.http.request(method, url).header(ACCEPT, "application/json").header(COOKIE, cookies.header());
        let answer = if body.is_null() { request } else { request.json(body) }.send().await?;
        cookies.keep(&answer);
        let status = answer.status();
        Ok((status, serde_json::from_slice(&answer.bytes().await?).unwrap_or_default()))
    }
}

/// The flow in a page's address.
fn flow_of(page: &str) -> Result<String> {
    let url: Url = page.parse()?;
    let flow = url.query_pairs().find(|(name, _)| name == "flow").map(|(_, value)| value.into_owned());
    flow.ok_or_else(|| "a page without a flow".into())
}
