//! What the interface asks of every method. The network is evaluated in single precision.
use precondor_plugin_mlp::fsai::MlpFsai;
use precondor_plugin_mlp::reference::MlpReference;

precondor_sdk::conformance! {
    spd: Kit::<MlpReference>::new(json!({})).single_precision();
    stencil: Kit::<MlpReference>::new(json!({"variant": "stencil"})).single_precision();
    sweep: Kit::<MlpReference>::new(json!({"variant": "sweep"})).single_precision();
    fsai: Kit::<MlpFsai>::new(json!({})).single_precision();
    checked_fsai: Kit::<MlpFsai>::new(json!({"check": 10})).single_precision();
}
