//! What the interface asks of every method. The network is evaluated in single precision.
use precondor_plugin_mlp::dense::MlpDense;
use precondor_plugin_mlp::reference::MlpReference;

precondor_sdk::conformance! {
    spd: Kit::<MlpReference>::new(json!({})).single_precision();
    stencil: Kit::<MlpReference>::new(json!({"variant": "stencil"})).single_precision();
    dense: Kit::<MlpDense>::new(json!({})).level(2).single_precision();
}
