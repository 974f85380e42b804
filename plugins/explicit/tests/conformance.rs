//! What the interface asks of every method.
use precondor_plugin_explicit::{Filter, Inverse};

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
}
