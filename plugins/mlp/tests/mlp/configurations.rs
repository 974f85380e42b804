//! The configurations beside the shipped models are the ones that made them.

use std::path::Path;

use precondor_neural::model::{Kind, Reader};
use precondor_plugin_mlp::fsai::{self, MlpFsai};
use precondor_plugin_mlp::reference::MlpReference;
use precondor_plugin_mlp::reference::train;
use precondor_sdk::core::problem::Problem;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::{Value, to_value};
use precondor_testkit::shipped::{Training, models};

#[test]
fn shipped_models_were_made_by_the_configurations_beside_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    models(&folder, |name, file, bytes| {
        let Training { method, params, data } = match name {
            _ if name == MlpFsai::NAME => Training::read::<fsai::TrainParams>(file),
            _ => Training::read::<train::TrainParams>(file),
        };
        let card = Reader::new(bytes, &method, Kind::Model).unwrap().card;
        assert_eq!(card.training, params, "{name}");
        if method == MlpFsai::NAME {
            // What came to be a parameter since then has its default.
            let of = |sections: &Value| -> Vec<Problem> {
                let sections = sections.as_array().unwrap().iter();
                sections.map(|section| Problem::from_json(section).unwrap()).collect()
            };
            assert_eq!(of(&card.samples), of(&data));
            assert!(card.metrics["validation_loss"].as_f64().unwrap() < -0.05);
            return;
        }
        let sections = match &data {
            Value::Array(sections) => sections.clone(),
            section => vec![section.clone()],
        };
        let mut families = Vec::new();
        for section in &sections {
            let levels = section.get("levels").and_then(Value::as_array).cloned();
            for level in levels.unwrap_or_else(|| vec![section["level"].clone()]) {
                families.push((level, section["shift"].clone()));
            }
        }
        let of = |problem: &Value| (problem["level"].clone(), problem["shift"].clone());
        let samples: Vec<_> = card.samples.as_array().unwrap().iter().map(of).collect();
        assert_eq!(samples, families, "{name}");
        assert!(card.metrics["loss"].as_f64().unwrap() < 1e-3, "{name}");
    });
}

#[test]
fn the_example_trains_the_default_model() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let example = root.join("examples/train-mlp-reference.toml");
    let shipped = root.join("plugins/mlp/models/mlp-reference-spd.toml");
    let of = |file: &Path| Training::read::<train::TrainParams>(file);
    assert_eq!(of(&example), of(&shipped));
    assert_eq!(of(&example).method, MlpReference::NAME);
    let params = train::TrainParams::default();
    assert_eq!(of(&example).params, to_value(params).unwrap());
}
