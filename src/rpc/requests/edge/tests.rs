//! What proxies say, and what cannot be taken of it.

use std::net::Ipv4Addr;

use super::*;
use crate::proto::envoy::config::core::v3::{
    self as core, HeaderMap as RawHeaders, HeaderValue, SocketAddress,
};
use crate::proto::envoy::service::auth::v3::attribute_context::Request;

fn context(pairs: &[(&str, &str)]) -> CheckRequest {
    let context_extensions = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let attributes =
        AttributeContext { context_extensions: context_extensions.collect(), ..AttributeContext::default() };
    CheckRequest { attributes: Some(attributes) }
}

fn with_headers(http: HttpRequest) -> ClientRequest {
    let mut request = context(&[("profile", "strapi")]);
    request.attributes.as_mut().unwrap().request = Some(Request { http: Some(http), time: None });
    check(request).unwrap()
}

fn from_address(address: Address) -> Option<IpAddr> {
    let mut request = context(&[("profile", "strapi")]);
    let address = Some(core::Address { address: Some(address) });
    request.attributes.as_mut().unwrap().source = Some(Peer { address, ..Peer::default() });
    check(request).unwrap().address
}

fn ask(query: &str, headers: &[(&'static str, &'static str)], address_header: Option<&str>) -> Forwarded {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    let address_header = address_header.map(|name| name.parse().unwrap());
    Forwarded { query: query.to_owned(), headers: map, address_header }
}

/// The paths of the fields that could not be taken.
fn wrong(taken: Result<ClientRequest, Error>) -> Vec<String> {
    match taken {
        Err(Error::InvalidFields(fields)) => fields.into_iter().map(|field| field.path).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_route_reads_the_same_from_envoy_and_from_others() {
    let pairs =
        [("profile", "strapi"), ("workspace", "acme"), ("scopes", "find:a  find:b"), ("audience", "scim")];
    let envoys = check(context(&pairs)).unwrap().route;
    let query = "profile=strapi&workspace=acme&scope=find%3Aa+find:b&audience=scim";
    assert_eq!(forwarded(ask(query, &[], None)).unwrap().route, envoys);
    let scopes: Vec<&str> = envoys.required_scopes.iter().map(Scope::as_str).collect();
    assert_eq!(scopes, ["find:a", "find:b"]);
}

/// Left out by mistake, what a route needs would not be needed.
#[test]
fn a_route_that_says_something_else_or_nothing_is_refused() {
    let path = |key: &str| format!("attributes.context_extensions[{key:?}]");
    let envoys = |pairs: &[(&str, &str)]| wrong(check(context(pairs)));
    assert_eq!(envoys(&[]), [path("profile")]);
    assert_eq!(envoys(&[("profile", "strapi"), ("scope", "find:a")]), [path("scope")]);
    assert_eq!(envoys(&[("profile", "strapi"), ("workspace", "")]), [path("workspace")]);
    assert_eq!(envoys(&[("profile", "strapi"), ("scopes", " ")]), [path("scopes")]);
    assert_eq!(envoys(&[("profile", "strapi"), ("scopes", "a*")]), [path("scopes") + "[0]"]);
    let others = |query| wrong(forwarded(ask(query, &[], None)));
    assert_eq!(others("profile=strapi&scopes=a"), ["scopes"]);
    assert_eq!(others("profile=strapi&scope=a&scope=b"), ["scope"]);
    assert_eq!(others("profile=strapi&workspace="), ["workspace"]);
    assert_eq!(others(""), ["profile"]);
}

#[test]
fn headers_are_read_in_both_of_envoys_ways() {
    let plain = HttpRequest {
        headers: [("authorization".to_owned(), "Bearer a".to_owned())].into(),
        ..HttpRequest::default()
    };
    let raw = |value: &[u8]| HeaderValue {
        key: "Authorization".to_owned(),
        raw_value: value.to_vec(),
        ..HeaderValue::default()
    };
    let raw = HttpRequest {
        header_map: Some(RawHeaders { headers: vec![raw(b"Bearer a"), raw(b"\xff")] }),
        ..HttpRequest::default()
    };
    let values = |http| {
        let request = with_headers(http);
        request.headers.values("authorization").map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(values(plain), ["Bearer a"]);
    assert_eq!(values(raw), ["Bearer a", "\u{fffd}"]);
}

#[test]
fn the_address_is_that_of_the_connection_or_not_known() {
    let socket = |address: &str| {
        Address::SocketAddress(SocketAddress { address: address.to_owned(), ..SocketAddress::default() })
    };
    assert_eq!(from_address(socket("192.0.2.7")), Some(Ipv4Addr::new(192, 0, 2, 7).into()));
    assert!(from_address(socket("2001:db8::1")).is_some());
    assert_eq!(from_address(socket("a.host")), None);
    assert_eq!(from_address(Address::Pipe(core::Pipe::default())), None);
}

#[test]
fn another_proxys_word_on_the_address_is_the_last_one() {
    let listed = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "203.0.113.8, 192.0.2.7")];
    let address = |header| forwarded(ask("profile=strapi", &listed, header)).unwrap().address;
    assert_eq!(address(Some("x-forwarded-for")), Some(Ipv4Addr::new(192, 0, 2, 7).into()));
    assert_eq!(address(Some("x-real-ip")), None);
    assert_eq!(address(None), None);
}
