//! What the interface asks of every method.
use precondor_plugin_explicit::{Filter, Inverse};

precondor_sdk::conformance! {
    inverse: Kit::<Inverse>::new(json!({}));
    filter: Kit::<Filter>::new(json!({})).beside::<Inverse>();
    thresholded: Kit::<Filter>::new(json!({"threshold": 0.01, "precision": "f32"}))
        .beside::<Inverse>();
    largest: Kit::<Filter>::new(json!({"keep": 7, "precision": "bf16", "symmetrize": true}))
        .beside::<Inverse>();
    bytes: Kit::<Filter>::new(json!({"precision": "int8"})).beside::<Inverse>();
    split: Kit::<Filter>::new(json!({"coarse": [3, 3], "threshold": 0.01})).beside::<Inverse>();
}
