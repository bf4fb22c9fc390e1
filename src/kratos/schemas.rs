//! The operations on identity schemas. They are public, on Kratos' public port; the admin port redirects there. It may send the
//! token only to the admin URL itself, and the headers only to its origin.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use reqwest::header::LOCATION;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::client::{Client, url_of};
use super::config::shown;
use super::error::{Class, Error};
use super::kind::Kind;
use super::page::total_count;
use super::transport::{Answer, Call, To};
use super::types::{SchemaContainer, SchemaFault, read_schema};

/// How many redirects are followed; older servers need two.
const REDIRECTS: usize = 4;

/// How many schemas are requested at once.
const PAGE_SIZE: &str = "250";

/// The most that is read of all schemas together, in bytes.
const LARGEST_LIST: usize = 16 * 1024 * 1024;

impl Client {
    /// Lists all identity schemas. A schema that can't be used is listed with its fault, and doesn't hide others.
    pub async fn list_identity_schemas(&self) -> Result<Vec<SchemaContainer>, Error> {
        const OPERATION: &str = "list_identity_schemas";
        let mut schemas: Vec<SchemaContainer> = Vec::new();
        let mut read = 0;
        for page in 0_usize.. {
            let page = page.to_string();
            let query = [("per_page", PAGE_SIZE), ("page", page.as_str())];
            let answer = self.schema_answer(OPERATION, &["schemas"], &query).await?;
            read += answer.body.len();
            if read > LARGEST_LIST {
                return Err(Error::new(OPERATION, Kind::TooLarge(answer.status)));
            }
            let items: Option<Vec<&RawValue>> = answer.json(OPERATION)?;
            let items: Vec<_> = items.into_iter().flatten().filter_map(SchemaContainer::read).collect();
            let is_new = items.iter().any(|item| schemas.iter().all(|known| known.id != item.id));
            if !is_new {
                break;
            }
            schemas.extend(items);
            if schemas.len() >= total_count(&answer.headers).unwrap_or_default() {
                break;
            }
        }
        Ok(schemas)
    }

    /// Reads one identity schema by its plain id, which may have any characters.
    pub async fn get_identity_schema(&self, id: &str) -> Result<Option<Result<Value, SchemaFault>>, Error> {
        const OPERATION: &str = "get_identity_schema";
        match self.schema_answer(OPERATION, &["schemas", &in_path(id)], &[]).await {
            Ok(answer) => answer.json(OPERATION).map(|schema| Some(read_schema(schema))),
            Err(error) if error.class() == Class::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where schemas are read from, for messages. Without secrets.
    pub fn schemas_at(&self) -> String {
        shown(self.public_url().unwrap_or(self.admin_url()))
    }

    async fn schema_answer(
        &self,
        operation: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Answer, Error> {
        let mut call = match self.public_url() {
            None => Call { largest: LARGEST_LIST, ..self.call(operation, path, query)? },
            Some(public_url) => redirected(operation, url_of(operation, public_url, path, query)?, To::Elsewhere),
        };
        for _ in 0..=REDIRECTS {
            let answer = self.answer_or_redirect(&call).await?;
            if !answer.status.is_redirection() {
                return Ok(answer);
            }
            let target = answer
                .headers
                .get(LOCATION)
                .and_then(|location| location.to_str().ok())
                .and_then(|location| call.url.join(location).ok())
                .filter(|target| matches!(target.scheme(), "http" | "https"))
                .ok_or_else(|| Error::new(operation, Kind::Redirected(answer.status)))?;
            // After a redirect to another origin nothing more is sent along, wherever further redirects lead.
            let is_own = call.to != To::Elsewhere && target.origin() == self.admin_url().origin();
            call = redirected(operation, target, if is_own { To::OwnOrigin } else { To::Elsewhere });
        }
        Err(Error::new(operation, Kind::Redirected(reqwest::StatusCode::TEMPORARY_REDIRECT)))
    }
}

/// A schema's id as a path segment: plain where possible, else in the base64 that Kratos understands too.
fn in_path(id: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if id.bytes().all(is_plain) { id.into() } else { URL_SAFE_NO_PAD.encode(id).into() }
}

/// A request without the token.
fn redirected(operation: &'static str, mut url: Url, to: To) -> Call {
    // A redirect's URL may hold credentials; they are dropped. (Neither call fails for http or https.)
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Call { operation, method: Method::GET, url, body: None, to, largest: LARGEST_LIST, writes: Vec::new() }
}
