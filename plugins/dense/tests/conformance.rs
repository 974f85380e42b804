//! What the interface asks of every method. Networks are evaluated in single precision.
use precondor_plugin_dense::filter::Filter;
use precondor_plugin_dense::inverse::Inverse;
use precondor_plugin_dense::mlp::MlpDense;
use precondor_plugin_dense::ridge::RidgeInverse;

precondor_sdk::conformance! {
    inverse: Kit::<Inverse>::new(json!({}));
    filter: Kit::<Filter>::new(json!({})).beside::<Inverse>();
    thresholded: Kit::<Filter>::new(json!({"threshold": 0.01, "precision": "f32"}))
        .beside::<Inverse>()
        .stored_to(2e-7);
    relative: Kit::<Filter>::new(json!({"relative_threshold": 0.02})).beside::<Inverse>();
    single: Kit::<Filter>::new(json!({"precision": "f32"})).beside::<Inverse>().stored_to(2e-7);
    largest: Kit::<Filter>::new(json!({"keep": 7, "precision": "bf16", "symmetrize": true}))
        .beside::<Inverse>()
        .stored_to(5e-3);
    bytes: Kit::<Filter>::new(json!({"precision": "int8"})).beside::<Inverse>();
    split: Kit::<Filter>::new(json!({"coarse": [3, 3], "threshold": 0.01})).beside::<Inverse>();
    dense: Kit::<MlpDense>::new(json!({})).level(2).single_precision();
    plain: Kit::<MlpDense>::new(json!({"variant": "plain"})).level(2).single_precision();
    refined: Kit::<MlpDense>::new(json!({"newton": 1})).level(2).single_precision();
    ridge: Kit::<RidgeInverse>::new(json!({})).single_precision();
    mean: Kit::<RidgeInverse>::new(json!({"mean_only": true})).single_precision();
}
