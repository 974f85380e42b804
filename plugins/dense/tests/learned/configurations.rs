//! The configurations beside the shipped models are the ones that made them.

use std::path::Path;

use precondor_neural::model::{Kind, Reader};
use precondor_plugin_dense::mlp::{self, MlpDense};
use precondor_plugin_dense::ridge::{self, RidgeInverse};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;
use precondor_testkit::shipped::{Training, models};

#[test]
fn shipped_models_were_made_by_the_configurations_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    models(&folder, |name, file, bytes| {
        let Training { method, params, data } = match name {
            _ if name.starts_with(MlpDense::NAME) => {
                Training::read::<mlp::train::TrainParams>(file)
            }
            _ => Training::read::<ridge::TrainParams>(file),
        };
        let card = Reader::new(bytes, &method, Kind::Model).unwrap().card;
        assert_eq!(card.training, params, "{name}");
        let of = |problem: &Value| (problem["level"].clone(), problem["shift"].clone());
        assert_eq!(of(&card.samples[0]), of(&data), "{name}");
        // Of a whitened inverse the loss is relative to what the regression leaves.
        let most = if params["whiten"] == true { 1.0 } else { 1e-3 };
        let loss = card.metrics.get("loss").or(card.metrics.get("left_by_ridge"));
        let most = if method == RidgeInverse::NAME { 0.05 } else { most };
        assert!(loss.unwrap().as_f64().unwrap() < most, "{name}");
    });
}
