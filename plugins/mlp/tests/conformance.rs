//! What the interface asks of every method. The network is evaluated in single precision.
use precondor_plugin_mlp::dense::MlpDense;
use precondor_plugin_mlp::fsai::MlpFsai;
use precondor_plugin_mlp::reference::MlpReference;
use precondor_plugin_mlp::ridge::RidgeInverse;

precondor_sdk::conformance! {
    spd: Kit::<MlpReference>::new(json!({})).single_precision();
    stencil: Kit::<MlpReference>::new(json!({"variant": "stencil"})).single_precision();
    sweep: Kit::<MlpReference>::new(json!({"variant": "sweep"})).single_precision();
    dense: Kit::<MlpDense>::new(json!({})).level(2).single_precision();
    plain: Kit::<MlpDense>::new(json!({"variant": "plain"})).level(2).single_precision();
    refined: Kit::<MlpDense>::new(json!({"newton": 1})).level(2).single_precision();
    ridge: Kit::<RidgeInverse>::new(json!({})).single_precision();
    mean: Kit::<RidgeInverse>::new(json!({"mean_only": true})).single_precision();
    fsai: Kit::<MlpFsai>::new(json!({})).single_precision();
    checked_fsai: Kit::<MlpFsai>::new(json!({"check": 10})).single_precision();
}
