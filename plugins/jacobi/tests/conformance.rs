//! What the interface asks of every method.
use precondor_plugin_jacobi::Jacobi;

precondor_sdk::conformance! {
    plain: Kit::<Jacobi>::new(json!({}));
    damped: Kit::<Jacobi>::new(json!({"damping": 0.7}));
}
