//! What the interface asks of every method. Chebyshev's smoother is in single precision on one rank.
use precondor_plugin_reference::{FastPoisson, Reference};

precondor_sdk::conformance! {
    fast_poisson: Kit::<FastPoisson>::new(json!({}));
    reference: Kit::<Reference>::new(json!({})).beside::<FastPoisson>().single_precision();
    interpolated: Kit::<Reference>::new(json!({"smoother": "symmetric-gauss-seidel", "interpolation": 0.5}))
        .beside::<FastPoisson>();
    post_only: Kit::<Reference>::new(json!({"variant": "post-only"})).beside::<FastPoisson>().single_precision();
    post_only_in_double: Kit::<Reference>::new(json!({"variant": "post-only", "precision": "f64"}))
        .beside::<FastPoisson>();
    positions: Kit::<Reference>::new(json!({"positions": "given"})).beside::<FastPoisson>().single_precision();
    positions_estimated: Kit::<Reference>::new(json!({"positions": "estimated", "precision": "f64"}))
        .beside::<FastPoisson>();
    sweeps: Kit::<Reference>::new(json!({"smoother": "gauss-seidel"})).beside::<FastPoisson>();
}
