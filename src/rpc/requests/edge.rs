//! Requests of proxies: what Envoy says of a client's request, and what others say by a request of their own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use url::form_urlencoded;

use super::Fields;
use crate::edge::{ClientHeaders, ClientRequest, Route};
use crate::profile::{Audience, ProfileName};
use crate::proto::envoy::config::core::v3::address::Address;
use crate::proto::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer};
use crate::proto::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use crate::service::Error;
use crate::text::Invalid;
use crate::token::Scope;
use crate::workspace::WorkspaceId;

/// Takes Envoy's question. Its route is what the proxy's configuration says, and the address is the connection's, or what
/// the proxy was told to trust instead.
pub(in crate::rpc) fn check(request: CheckRequest) -> Result<ClientRequest, Error> {
    let AttributeContext { source, request, context_extensions, .. } = request.attributes.unwrap_or_default();
    let words = Words { path: |key| format!("attributes.context_extensions[{key:?}]"), scopes: "scopes" };
    let route = words.route(context_extensions)?;
    let http = request.and_then(|request| request.http).unwrap_or_default();
    Ok(ClientRequest { route, headers: client_headers(http), address: source.and_then(client_address) })
}

/// Envoy sends the headers in one of two ways, as it is configured.
fn client_headers(http: HttpRequest) -> ClientHeaders {
    let raw = http.header_map.unwrap_or_default().headers.into_iter().map(|header| {
        let value = if header.value.is_empty() {
            String::from_utf8_lossy(&header.raw_value).into_owned()
        } else {
            header.value
        };
        (header.key, value)
    });
    http.headers.into_iter().chain(raw).collect()
}

fn client_address(source: Peer) -> Option<IpAddr> {
    match source.address?.address? {
        Address::SocketAddress(socket) => socket.address.parse().ok(),
        Address::Pipe(_) | Address::EnvoyInternalAddress(_) => None,
    }
}

/// What another proxy asks by.
pub(in crate::rpc) struct Forwarded {
    /// The query of its request, which names the route.
    pub(in crate::rpc) query: String,
    /// Its headers, the client's among them.
    pub(in crate::rpc) headers: HeaderMap,
    /// In which of them it puts the client's address.
    pub(in crate::rpc) address_header: Option<HeaderName>,
}

/// Takes another proxy's question.
pub(in crate::rpc) fn forwarded(request: Forwarded) -> Result<ClientRequest, Error> {
    let words = Words { path: str::to_owned, scopes: "scope" };
    let pairs = form_urlencoded::parse(request.query.as_bytes());
    let route = words.route(pairs.map(|(key, value)| (Cow::into_owned(key), Cow::into_owned(value))))?;
    let address = request.address_header.and_then(|name| named_address(&request.headers, &name));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = request.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
    Ok(ClientRequest { route, headers: headers.collect(), address })
}

/// The last address that the last such header lists: whatever stands before it, a client can have written.
fn named_address(headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
    let listed = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    listed.rsplit(',').next()?.trim().parse().ok()
}

/// How a route is put into words.
struct Words {
    /// The path of a field.
    path: fn(&str) -> String,
    /// What the required scopes are called.
    scopes: &'static str,
}

impl Words {
    /// Reads a route. A word that is not known is refused, as is one without a value: whoever misspells what a request
    /// needs would else need nothing.
    fn route(&self, pairs: impl IntoIterator<Item = (String, String)>) -> Result<Route, Error> {
        let mut fields = Fields::default();
        let mut said = self.said(&mut fields, pairs);
        let (profile, workspace) = (said.remove("profile"), said.remove("workspace"));
        let (scopes, audience) = (said.remove(self.scopes), said.remove("audience"));
        for key in said.keys() {
            fields.note(&(self.path)(key), Invalid::Malformed("a word that is known, or not there"));
        }
        let profile = fields.take(&(self.path)("profile"), ProfileName::parse(profile.unwrap_or_default()));
        let workspace = self.optional(&mut fields, "workspace", workspace, WorkspaceId::parse);
        let audience = self.optional(&mut fields, "audience", audience, Audience::parse);
        let required_scopes = self.required_scopes(&mut fields, scopes);
        let route = || {
            let (workspace, audience) = (workspace?, audience?);
            Some(Route { profile: profile?, workspace, required_scopes: required_scopes?, audience })
        };
        fields.finish(route())
    }

    fn said(
        &self,
        fields: &mut Fields,
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> BTreeMap<String, String> {
        let mut said = BTreeMap::new();
        for (key, value) in pairs {
            let path = (self.path)(&key);
            if said.insert(key, value).is_some() {
                fields.note(&path, Invalid::Malformed("said once"));
            }
        }
        said
    }

    #[expect(clippy::option_option, reason = "wrong, absent and there are three things")]
    fn optional<Taken>(
        &self,
        fields: &mut Fields,
        key: &str,
        text: Option<String>,
        parse: fn(String) -> Result<Taken, Invalid>,
    ) -> Option<Option<Taken>> {
        text.map_or(Some(None), |text| fields.take(&(self.path)(key), parse(text)).map(Some))
    }

    fn required_scopes(&self, fields: &mut Fields, scopes: Option<String>) -> Option<Vec<Scope>> {
        let path = (self.path)(self.scopes);
        let Some(text) = scopes else { return Some(Vec::new()) };
        let scopes: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
        if scopes.is_empty() {
            fields.note(&path, Invalid::Missing);
        }
        fields.scope_list(&path, scopes)
    }
}

#[cfg(test)]
mod tests;
