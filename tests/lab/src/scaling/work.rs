//! What one application of a method does on each rank: asked of the crate that has the method.
use precondor_core::comm::count::Flow;
use precondor_core::comm::predict::{self, Layout, Rank};
use serde::de::DeserializeOwned;
use serde_json::Value;
use {
    precondor_plugin_ilu as ilu, precondor_plugin_jacobi as jacobi, precondor_plugin_mlp as mlp,
    precondor_plugin_reference as reference, precondor_plugin_schwarz as schwarz,
    precondor_plugin_spai as spai,
};

/// Parameters as the method reads them; none where they are not its own.
fn read<P: DeserializeOwned>(parameters: &Value) -> Option<P> {
    match parameters {
        Value::Null => P::deserialize(Value::Object(serde_json::Map::new())).ok(),
        given => P::deserialize(given).ok(),
    }
}

/// One application of the method `name` with these parameters; none where there is no formula for it.
pub fn application(layout: Layout, name: &str, parameters: &Value) -> Option<Vec<Rank>> {
    match name {
        "none" => Some(predict::within(layout, |_| 0)),
        "jacobi" => Some(jacobi::traffic::application(layout)),
        "spai" => spai::traffic::spai(layout, &read(parameters)?),
        "fsai" => spai::traffic::fsai(layout, &read(parameters)?),
        "mlp-fsai" => mlp::traffic::mlp_fsai(layout, &read(parameters)?),
        "ic" => Some(ilu::traffic::ic(layout)),
        "ilu" => ilu::traffic::ilu(layout, &read(parameters)?),
        "fast-poisson" => reference::traffic::fast_poisson(layout, &read(parameters)?),
        "reference" => reference::traffic::reference(layout, &read(parameters)?),
        "mlp-reference" => mlp::traffic::mlp_reference(layout, &read(parameters)?),
        "schwarz" => schwarz::traffic::application(layout, &read(parameters)?),
        _ => None,
    }
}

/// Messages of the setup that are not collectives, where A is known to be symmetric if it must be; none where
/// there is no formula.
pub fn setup(layout: Layout, name: &str, parameters: &Value) -> Option<Vec<Flow>> {
    match name {
        "none" | "jacobi" => Some(predict::silence(layout)),
        "spai" => spai::traffic::spai_setup(layout, &read(parameters)?),
        "fsai" => spai::traffic::fsai_setup(layout, &read(parameters)?),
        _ => None,
    }
}
