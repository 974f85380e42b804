//! The configurations beside the shipped models are the ones that made them.

use std::path::Path;

use precondor_neural::model::{Kind, Reader};
use precondor_plugin_dense::mlp::{self, MlpDense};
use precondor_plugin_dense::ridge::{self, RidgeInverse};
use precondor_sdk::core::config;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, to_value};

/// Section `[train]` with all defaults spelt out, and `[data]`.
fn training<T: Serialize + serde::de::DeserializeOwned + JsonSchema + 'static>(
    file: &Path,
) -> (Value, Value, String) {
    let root = config::read(file).unwrap();
    let params: T = root.get("train").unwrap().read().unwrap();
    let method = root.get("model").unwrap().get("method").unwrap().text().unwrap().to_owned();
    (to_value(params).unwrap(), root.get("data").unwrap().json(), method)
}

#[test]
fn shipped_models_were_made_by_the_configurations_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let mut models = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap();
        if file.extension().unwrap() != "toml" {
            continue;
        }
        models += 1;
        let (params, data, method) = match name {
            _ if name.starts_with(MlpDense::NAME) => training::<mlp::train::TrainParams>(&file),
            _ => training::<ridge::TrainParams>(&file),
        };
        let bytes = std::fs::read(folder.join(name).with_extension("safetensors")).unwrap();
        let card = Reader::new(&bytes, &method, Kind::Model).unwrap().card;
        assert_eq!(card.training, params, "{name}");
        let of = |problem: &Value| (problem["level"].clone(), problem["shift"].clone());
        assert_eq!(of(&card.samples[0]), of(&data), "{name}");
        // Of a whitened inverse the loss is relative to what the regression leaves.
        let most = if params["whiten"] == true { 1.0 } else { 1e-3 };
        let loss = card.metrics.get("loss").or(card.metrics.get("left_by_ridge"));
        let most = if method == RidgeInverse::NAME { 0.05 } else { most };
        assert!(loss.unwrap().as_f64().unwrap() < most, "{name}");
    }
    let shipped = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path());
    let shipped = shipped.filter(|path| path.extension().unwrap() == "safetensors");
    assert_eq!(models, shipped.count(), "every model has its configuration");
}
