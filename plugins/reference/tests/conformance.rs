//! What the interface asks of every method. Chebyshev's smoother is in single precision on one rank.
use precondor_plugin_reference::{FastPoisson, Reference};

precondor_sdk::conformance! {
    fast_poisson: Kit::<FastPoisson>::new(json!({}));
    reference: Kit::<Reference>::new(json!({})).beside::<FastPoisson>().single_precision();
    interpolated: Kit::<Reference>::new(json!({"smoother": "symmetric-gauss-seidel", "interpolation": 0.5}))
        .beside::<FastPoisson>();
    sweeps: Kit::<Reference>::new(json!({"smoother": "gauss-seidel"})).beside::<FastPoisson>();
}
