//! What the interface asks of every method, where there is a factorisation.
#![cfg(feature = "faer")]
use precondor_plugin_cholesky::Cholesky;

precondor_sdk::conformance! {
    cholesky: Kit::<Cholesky>::new(json!({}));
    rcm: Kit::<Cholesky>::new(json!({"ordering": "rcm"}));
    larger: Kit::<Cholesky>::new(json!({})).level(4);
}
