//! What the settings say of the edge over HTTP.

use http::HeaderName;

use crate::compose::EdgeOptions;
use crate::server::listen::ListenAddress;
use crate::settings::{Origin, SettingsError, groups};

use super::RoleError;

/// Takes them; `None` if it is not to be served.
pub(super) fn options(settings: &groups::Edge) -> Result<Option<EdgeOptions>, RoleError> {
    let Some(listen) = &settings.edge_listen else {
        let (set, missing) = ("edge-address-header", "edge-listen");
        let alone = settings.edge_address_header.is_some();
        return if alone { Err(SettingsError::Incomplete { set, missing }.into()) } else { Ok(None) };
    };
    let listen: ListenAddress = listen.parse()?;
    let address_header = settings.edge_address_header.as_deref().map(header).transpose()?;
    Ok(Some(EdgeOptions { listen, address_header }))
}

fn header(name: &str) -> Result<HeaderName, SettingsError> {
    let origin = || Origin::Flag("edge-address-header".to_owned());
    let wrong = |_| SettingsError::Value { origin: origin(), reason: "is no name of a header".to_owned() };
    name.parse().map_err(wrong)
}
